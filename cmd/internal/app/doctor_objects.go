package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// object is a table that the migrations make or adopt, with what the worker relies on in it.
type object struct {
	table   string
	columns string // names, between blanks
	indexes string // names, between blanks, in the schema of the table
}

// objects are all tables of the worker and of the app, the app's without what only the app knows.
var objects = []object{
	{
		"public.events",
		"id user_id child_id title start_ts end_ts location prep_items status google_calendar_id error_message " +
			"sync_revision sync_attempts sync_due_at sync_lease_until sync_worker sync_planned sync_changed_at " +
			"reminder_minutes push_data dismissed_for_ts dismissed_at",
		"events_unplanned_idx events_planned_idx events_waiting_idx events_failed_idx",
	},
	{
		"public.reminders",
		"id event_id user_id notify_at_ts message push_token sent_at_ts status retry_count error_message " +
			"plan_revision planned_for_ts lead_seconds next_attempt_at changed_xid push_data snoozed_from asked_at lost_claims",
		"reminders_due_idx reminders_changed_idx reminders_failed_idx reminders_push_token_idx",
	},
	{"public.children", "id", ""},
	{
		"public.notification_settings",
		"user_id push_enabled calendar_enabled reminder_minutes quiet_from quiet_until all_day_at time_zone locale hour_cycle updated_at " +
			"google_calendar google_calendar_name google_alerts",
		"",
	},
	{
		"reminder_worker.google_accounts",
		"user_id refresh_token calendar_id state reason paused_until connected_at updated_at " +
			"notice_due_at notice_lease notice_attempts noticed_at notice_error subject " +
			"made_calendar_id made_calendar_consent made_calendar_gone_at making_until " +
			"leave_due_at leave_until leave_attempts leave_copies leave_revoke audited_at",
		"google_accounts_pkey google_accounts_unsealed_idx google_accounts_notice_due_idx google_accounts_leave_due_idx google_accounts_state_idx google_accounts_reconnect_idx",
	},
	{
		"reminder_worker.push_devices",
		"id token user_id platform registered_at retired_at retired_reason project",
		"push_devices_pkey push_devices_token_key push_devices_user_idx push_devices_retired_idx push_devices_user_retired_idx",
	},
	{
		"reminder_worker.calendar_copies",
		"event_id user_id calendar_id google_event_id generation etag content_hash written_at tombstoned_at due_at lease_until attempts " +
			"error_message created_at target_calendar_id target_event_id gone_at entry_of",
		"calendar_copies_pkey calendar_copies_due_idx calendar_copies_user_idx calendar_copies_entry_of_idx",
	},
	{
		"reminder_worker.deliveries",
		"reminder_id token state ticket_id error_code error_message sent_at lateness_ms receipt_due_at settled_at attempts payload_bytes",
		"deliveries_pkey deliveries_receipt_due_idx deliveries_gone_idx",
	},
	{"reminder_worker.time_zones", "name", "time_zones_pkey"},
	{"reminder_worker.permits", "name starts untils counts held", "permits_pkey"},
	{"reminder_worker.pauses", "part since reason", "pauses_pkey"},
	{"reminder_worker.audits", "name due_at part after began_at found", "audits_pkey"},
	{"reminder_worker.cleanups", "name due_at held_until began_at part place removed ended_at took_ms", "cleanups_pkey"},
	{
		"reminder_worker.user_deletions",
		"id user_id keep_copies auth_user asked_at due_at until attempts reason removed copies copies_left had_grant given_back ended_at",
		"user_deletions_pkey user_deletions_user_idx user_deletions_due_idx user_deletions_ended_idx",
	},
	{"reminder_worker.triggers", "relation name definition", "triggers_pkey"},
	{"reminder_worker.migrations", "version name checksum applied_at app_version", "migrations_pkey"},
}

// functions are those of the triggers, and those that the app calls.
var functions = []string{
	"public.connect_google_calendar(text)",
	"public.disconnect_google_calendar(boolean, boolean)",
	"public.dismiss_reminders(uuid)",
	"public.register_push_token(text, text)",
	"public.restore_reminders(uuid)",
	"public.resume_google_calendar()",
	"public.snooze_reminder(uuid, timestamp with time zone, integer)",
	"public.unregister_push_token(text)",
	"reminder_worker.add_counts(jsonb, jsonb)",
	"reminder_worker.address_of(uuid)",
	"reminder_worker.calendar_chosen(uuid, text[], text[])",
	"reminder_worker.children_of(uuid)",
	"reminder_worker.close_bell(text, bigint, bigint)",
	"reminder_worker.deadline(timestamp with time zone, timestamp with time zone, boolean, boolean)",
	"reminder_worker.delegate_accounts(uuid[], text[])",
	"reminder_worker.disconnect(uuid, boolean, boolean)",
	"reminder_worker.event_changed()",
	"reminder_worker.event_inserted()",
	"reminder_worker.event_keeps_id()",
	"reminder_worker.event_owner_changed()",
	"reminder_worker.events_deleted()",
	"reminder_worker.events_truncated()",
	"reminder_worker.forget_devices(uuid)",
	"reminder_worker.forget_permits(text[], interval)",
	"reminder_worker.forget_rest(uuid)",
	"reminder_worker.forget_step(uuid, integer)",
	"reminder_worker.forget_user(uuid, boolean, boolean)",
	"reminder_worker.hearing()",
	"reminder_worker.is_push_token(text)",
	"reminder_worker.knock()",
	"reminder_worker.minute_of(time without time zone)",
	"reminder_worker.open_bell(text, bigint, text)",
	"reminder_worker.part_from_google(uuid, boolean)",
	"reminder_worker.put_google_account(uuid, text)",
	"reminder_worker.put_push_device(uuid, text, text)",
	"reminder_worker.quiet_around(uuid, timestamp with time zone)",
	"reminder_worker.reason_of(text)",
	"reminder_worker.reminder_changed()",
	"reminder_worker.reminder_inserted()",
	"reminder_worker.replan(uuid)",
	"reminder_worker.require_user()",
	"reminder_worker.ring()",
	"reminder_worker.send_word(text, text)",
	"reminder_worker.settings_changed()",
	"reminder_worker.settings_written()",
	"reminder_worker.take_permits(text, integer, integer, interval, interval, timestamp with time zone)",
	"reminder_worker.take_permits(text, integer, integer, interval, interval, timestamp with time zone[], integer[], interval[], timestamp with time zone)",
	"reminder_worker.take_up(uuid)",
	"reminder_worker.user_exists(uuid)",
	"reminder_worker.user_metadata_inserted()",
	"reminder_worker.user_metadata_written()",
	"reminder_worker.user_tokens_written()",
	"reminder_worker.writers(text[])",
}

// sequences are those that the triggers look at: without them no write of the app's succeeds.
var sequences = []string{
	"reminder_worker.doorbell_notify", "reminder_worker.doorbell_wal",
	"reminder_worker.doorbell_notify_openings", "reminder_worker.doorbell_wal_openings",
}

// readObjects lists what the database has in the worker's schema, and in those of the app's tables that the worker knows, each with its
// kind before its name. It reads catalogs, which every role may. An index that is not valid is none.
func readObjects(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var tables []string
	for _, o := range objects {
		tables = append(tables, o.table)
	}
	rows, err := conn.Query(ctx, `with tables as (
			select c.oid, n.nspname, n.nspname || '.' || c.relname as name
			from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
			where c.relkind in ('r', 'p') and (n.nspname = 'reminder_worker' or n.nspname || '.' || c.relname = any ($1::text[])))
		select 'table ' || name from tables
		union all
		select 'sequence ' || n.nspname || '.' || c.relname
		from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relkind = 'S' and n.nspname = 'reminder_worker'
		union all
		select 'column ' || t.name || '.' || a.attname from tables t
		join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
		union all
		select 'index ' || t.nspname || '.' || c.relname from tables t
		join pg_catalog.pg_index i on i.indrelid = t.oid and i.indisvalid join pg_catalog.pg_class c on c.oid = i.indexrelid
		union all
		select 'function ' || n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')'
		from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
		where n.nspname in ('reminder_worker', 'public')
		order by 1`, tables)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// missing are the objects that are not present. What a missing table had is not counted.
func missing(present []string) (names []string) {
	lacks := func(thing string) bool { _, found := slices.BinarySearch(present, thing); return !found }
	for _, o := range objects {
		if lacks("table " + o.table) {
			names = append(names, "table "+o.table)
			continue
		}
		schema, _, _ := strings.Cut(o.table, ".")
		for column := range strings.FieldsSeq(o.columns) {
			names = append(names, "column "+o.table+"."+column)
		}
		for index := range strings.FieldsSeq(o.indexes) {
			names = append(names, "index "+schema+"."+index)
		}
	}
	for _, f := range functions {
		names = append(names, "function "+f)
	}
	for _, s := range sequences {
		names = append(names, "sequence "+s)
	}
	return slices.DeleteFunc(names, func(thing string) bool { return !lacks(thing) })
}

// examineObjects is for a database whose record says that it is up to date.
func examineObjects(ctx context.Context, p *patient) Finding {
	present, err := readObjects(ctx, p.conn)
	if err != nil {
		return cannotAsk(err)
	}
	slices.Sort(present) // by bytes, not by the collation of the database
	names := missing(present)
	if len(names) == 0 {
		return examineDoorbell(ctx, p)
	}
	fix := "Create what is missing as reminder-worker migrate print shows it."
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "table reminder_worker.") }) {
		fix = "Restore the tables from a backup, or create them empty as reminder-worker migrate print shows them: what they held is forgotten then."
	}
	return fail("", fmt.Sprintf("every migration is recorded, and %s gone since", count(len(names), "object is", "objects are")), fix).with(names...)
}

// examineDoorbell finds out whether the triggers may look at the doorbell. They do so as the owner of their function, within the app's own
// statements, which fail if they may not.
func examineDoorbell(ctx context.Context, p *patient) Finding {
	rows, err := p.conn.Query(ctx, `select format('grant usage, select, update on sequence %s to %I;', s.name, pg_get_userbyid(f.proowner))
		from unnest($1::text[]) as s (name)
		join pg_catalog.pg_proc f on f.pronamespace = 'reminder_worker'::regnamespace
			and f.proname in ('ring', 'knock', 'open_bell', 'close_bell', 'send_word')
		where not has_sequence_privilege(f.proowner, s.name, 'usage') or not has_sequence_privilege(f.proowner, s.name, 'update')
			or not has_sequence_privilege(f.proowner, s.name, 'select')
		group by 1 order by 1`, sequences)
	if err != nil {
		return cannotAsk(err)
	}
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return cannotAsk(err)
	}
	if len(grants) > 0 {
		return fail("", "the triggers may not look at the doorbell: every INSERT into events fails",
			"Give the sequences to the owner of the functions in schema reminder_worker, or as a superuser: "+strings.Join(grants, " "))
	}
	return pass("", "every migration is applied")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

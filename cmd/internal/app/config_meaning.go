package app

// meaning is what a variable is for, in a sentence or two, with its unit and range.
type meaning struct{ name, means string }

// sections are all variables, as an operator meets them.
var sections = []struct {
	title     string
	variables []meaning
}{
	{"Database", []meaning{
		{"DATABASE_URL", "The connection string, of a direct connection or a pooler in session mode: postgresql://user:password@host:5432/database. Of several hosts (host1:5432,host2:5432) the one that takes writes is found."},
		{"SUPABASE_DB_URL", "Another name for it."},
		{"EXPO_PUBLIC_SUPABASE_URL", "With the next one: the direct connection of a hosted project, https://ref.supabase.co."},
		{"SUPABASE_DB_PASSWORD", "The database password of that project."},
		{"DATABASE_POOL_SIZE", "Connections besides the one that listens, 2 to 100."},
		{"MIGRATE_ON_START", "Whether run and once apply pending migrations: true or false."},
		{"SUPABASE_SERVICE_ROLE_KEY", "May stay set from an older service. Not needed, and not used."},
	}},
	{"Google Calendar", []meaning{
		{"GOOGLE_CLIENT_ID", "The OAuth client that your app signs its users in with. Without it, and without a service account, no calendar is written; reminders work all the same."},
		{"GOOGLE_CLIENT_SECRET", "Its secret."},
		{"GOOGLE_CLIENT_EMAIL", "A service account, which acts for users of a Google Workspace that have given no consent of their own."},
		{"GOOGLE_PRIVATE_KEY", "Its private_key, from its JSON."},
		{"GOOGLE_WORKSPACE_DOMAIN", "The domain of those users, or several separated by commas. Without it the service account acts for nobody."},
		{"GOOGLE_PROJECT_ID", "May stay set from an older service. Not needed, and not used."},
		{"TOKEN_ENCRYPTION_KEY", "Seals users' refresh tokens in the database: 32 bytes in base64 or hex, as reminder-worker tokens key prints. Several, separated by commas, while a key is replaced: the first seals, all open."},
	}},
	{"Expo", []meaning{
		{"EXPO_ACCESS_TOKEN", "Of a project with Expo's enhanced push security."},
		{"EXPO_PROJECT", "The app's project, @owner/slug: devices of another project, which the access token cannot serve, are then retired."},
		{"PUSH_CATEGORY", "The actions that a device offers with a reminder."},
		{"PUSH_CHANNEL", "The Android channel that reminders come through. The app must have made it: a device without it shows nothing."},
	}},
	{"Reminders", []meaning{
		{"REMINDER_OFFSETS", "How long before the start reminders are due, where neither the event nor its user says otherwise: at most 16, each up to 1440h."},
		{"DEFAULT_TIME_ZONE", "The IANA name of the zone of users who have not set theirs."},
		{"DEFAULT_LOCALE", "The language of users who have not set theirs, as a BCP 47 tag."},
		{"REMINDER_TEXTS", "A file with texts of your own: reminder-worker texts print is where to start."},
	}},
	{"How it works", []meaning{
		{"CHANGE_SOURCE", "How commits are heard: notify, wal (logical replication), poll, or auto: notify, and a sweep every second while that does not work."},
		{"WAL_SLOT", "With wal: a permanent replication slot, for one worker at a time. Without: every connection has its own."},
		{"SWEEP_INTERVAL", "The time between two reads that repair what was missed, 10ms to 1h."},
		{"LEASE", "How long a claim holds: after it, what a dead worker had claimed is free. 1s to 1h."},
		{"HORIZON", "How far ahead reminders are held in memory, 1m to 744h."},
		{"RETRY_BASE", "The pause after a first failure, 1ms to 1h; then longer."},
		{"RECEIPT_DELAY", "The time from a push to the question for its receipt, up to 24h."},
		{"SHUTDOWN_GRACE", "What requests under way have after a signal to stop, up to 1h."},
		{"PUSH_RATE", "Pushes in any second, by all workers on this database together: 100 to 100000; 0: no limit."},
		{"CALENDAR_RATE", "Requests to the Calendar API in any minute, likewise: 60 to 1000000; 0: no limit."},
		{"CALENDAR_USER_RATE", "Those for any one user, likewise."},
		{"AUDIT_INTERVAL", "The time in which the workers together compare everything with what it should be, 1m to 744h; 0s: they do not."},
		{"AUDIT_REPAIR", "Whether they mend what they find: true or false."},
	}},
	{"What is kept", []meaning{
		{"CLEANUP_INTERVAL", "The time from one cleanup to the next, 1h or more; 0s: only the command does it."},
		{"KEEP_REMINDERS", "How long reminders and what became of their pushes are kept after they were due, 48h or more; 0s: for ever."},
		{"KEEP_FAILED_EVENTS", "How long events that have failed are kept after they were over, 840h or more; 0s: for ever."},
		{"KEEP_EVENTS", "All other events, likewise. Their copies stay in the users' calendars."},
		{"KEEP_REMOVALS", "How long the removal of a copy waits for access to the calendar, 840h or more; 0s: for ever."},
		{"KEEP_DEVICES", "How long devices are kept after they were retired, 48h or more; 0s: for ever."},
	}},
	{"Where to look, and what to call", []meaning{
		{"HTTP_ADDR", "Where the live page, /livez, /readyz and /metrics are answered; off: nowhere."},
		{"PAGE_PASSWORD", "Opens the live page, and has it retry, pause and resume. Without it the page is for reading, on an address of the loopback only."},
		{"LOG_LEVEL", "debug, info, warn or error."},
		{"LOG_FORMAT", "json, console, or auto: console on a terminal."},
		{"GOOGLE_CALENDAR_URL", "Full addresses with path, for stand-ins, proxies and regional gateways."},
		{"GOOGLE_TOKEN_URL", "Likewise."},
		{"GOOGLE_REVOKE_URL", "Likewise."},
		{"EXPO_PUSH_URL", "Likewise; /send and /getReceipts are below it."},
	}},
}

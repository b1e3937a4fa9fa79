-- OpenBell has commits announced one way ('notify' or 'wal') for ttl_ms milliseconds and sends payload that way.
-- It answers how often that bell has been found closed and opened so far, and how full the server's queue of undelivered changes is, 0 to 1.
-- name: OpenBell :one
select reminder_worker.open_bell(sqlc.arg(way)::text, sqlc.arg(ttl_ms)::bigint, sqlc.arg(payload)::text)::bigint as openings,
  pg_notification_queue_usage()::double precision as queue_usage;

-- CloseBell has commits announced no more that way. It refuses if since_ms, when word of it was sent, is more than within_ms ago.
-- name: CloseBell :one
select reminder_worker.close_bell(sqlc.arg(way)::text, sqlc.arg(since_ms)::bigint, sqlc.arg(within_ms)::bigint)::boolean as closed;

-- SendWord sends a payload of the workers' own, and answers the database's clock in milliseconds since 1970.
-- name: SendWord :one
select reminder_worker.send_word(sqlc.arg(way)::text, sqlc.arg(payload)::text)::bigint as sent_ms;

-- Writers names the transactions under way that may have found the bell closed, or those of among that are still under way.
-- name: Writers :one
select reminder_worker.writers(sqlc.narg(among)::text[])::text[] as transactions;

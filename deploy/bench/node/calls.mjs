// What a job asks for, the same for every library: one call, and then one statement. The statements are those of app.go.
import http from 'node:http'

const synced = `with r as (
	insert into app.reminders (event_id, user_id, notify_at_ts, message)
	select $1::uuid, $2::uuid, $3::timestamptz - lead, 'Field 3' from unnest('{24 hours,3 hours,30 minutes}'::interval[]) lead
), c as (
	insert into app.copies (event_id, user_id, google_event_id, etag, written_at) values ($1::uuid, $2::uuid, $4, '"1"', now())
)
update app.events set status = 'synced', google_calendar_id = $4 where id = $1::uuid`

const sent = `update app.reminders set status = 'sent', sent_at_ts = now() where id = $1::uuid`

// handlers returns the handlers of both kinds of jobs. query runs a statement that is prepared under its name once per connection; concurrency is how
// many calls may be under way, for which as many connections are kept.
export function handlers(query, concurrency) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency, maxFreeSockets: concurrency })
  const eventsURL = new URL(process.env.EVENTS_URL)
  const pushURL = new URL(process.env.PUSH_URL)

  function post(url, value) {
    return new Promise((resolve, reject) => {
      const body = JSON.stringify(value)
      const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
      const req = http.request(url, { method: 'POST', agent, headers, timeout: 60_000 }, res => {
        res.resume() // to its end, so that the connection is kept
        res.on('error', reject)
        res.on('end', () => (res.statusCode === 200 ? resolve() : reject(new Error(`${url.pathname} answered ${res.statusCode}`))))
      })
      req.on('timeout', () => req.destroy(new Error(`${url.pathname} did not answer`)))
      req.on('error', reject)
      req.end(body)
    })
  }

  return {
    async event({ id, user, title, start }) {
      const copy = id.replaceAll('-', '')
      const end = new Date(new Date(start).getTime() + 3_600_000).toISOString()
      await post(eventsURL, { id: copy, summary: title, start: { dateTime: start }, end: { dateTime: end } })
      await query({ name: 'synced', text: synced, values: [id, user, start, copy] })
    },
    async remind({ id, to, title, body }) {
      await post(pushURL, [{ to, title, body, collapseId: id }])
      await query({ name: 'sent', text: sent, values: [id] })
    },
  }
}

// untilAsked stops what runs when the process is asked to end.
export function untilAsked(stop) {
  process.once('SIGTERM', async () => {
    try {
      await stop()
      process.exit(0)
    } catch (err) {
      console.error(err)
      process.exit(1)
    }
  })
}

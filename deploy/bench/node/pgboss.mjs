// pg-boss: "pgboss.mjs migrate" makes its tables and queues, "pgboss.mjs serve" works its jobs.
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { handlers, untilAsked } from './calls.mjs'

const batch = 50
const workers = 4

// While a queue is listened to, polling is what finds the jobs whose time has come, so it is as frequent as may be.
const work = {
  batchSize: batch,
  localConcurrency: workers,
  burstWhenBatchFull: true,
  pollingIntervalSeconds: 0.5,
  notifyPollingIntervalSeconds: 0.5,
}

const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, useListenNotify: true })
boss.on('error', err => console.error(err))
boss.on('warning', warning => console.error('warning', warning))
await boss.start()

if (process.argv[2] === 'migrate') {
  for (const queue of ['event', 'reminder']) await boss.createQueue(queue, { notify: true })
  await boss.stop({ graceful: false })
} else {
  const db = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 50 })
  db.on('error', err => console.error(err))
  const calls = handlers(statement => db.query(statement), batch * workers)
  const each = handle => jobs => Promise.all(jobs.map(job => handle(job.data)))
  await boss.work('event', work, each(calls.event))
  await boss.work('reminder', work, each(calls.remind))
  untilAsked(async () => {
    await boss.stop({ graceful: true, timeout: 10_000 })
    await db.end()
  })
  console.log('ready')
}

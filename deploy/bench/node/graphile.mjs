// Graphile Worker: "graphile.mjs migrate" makes its tables, "graphile.mjs serve" works its jobs.
import { EventEmitter } from 'node:events'
import { Logger, run, runMigrations } from 'graphile-worker'
import { handlers, untilAsked } from './calls.mjs'

const concurrency = 50

// Its benchmark's page gives the tuned values but for the interval, which bounds how late a job for later is.
const tuned = {
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
  pollInterval: 20,
}

const worker = {
  connectionString: process.env.DATABASE_URL,
  concurrentJobs: concurrency,
  maxPoolSize: concurrency + 2,
  logger: new Logger(() => (level, message) => {
    if (level === 'error' || level === 'warning') console.error(level, message)
  }),
  ...(process.env.SETTINGS === 'tuned' ? tuned : {}),
}

if (process.argv[2] === 'migrate') {
  await runMigrations({ preset: { worker } })
} else {
  const events = new EventEmitter()
  const listening = new Promise(resolve => events.once('pool:listen:success', resolve))
  let calls
  const task = name => (payload, helpers) => {
    calls ??= handlers(queryOf(helpers), concurrency)
    return calls[name](payload)
  }
  const runner = await run({
    preset: { worker: { ...worker, events } },
    noHandleSignals: true,
    taskList: { event: task('event'), reminder: task('remind') },
  })
  untilAsked(() => runner.stop())
  await listening
  console.log('ready')
}

// queryOf runs a statement on the worker's own connections, as its documentation shows it.
function queryOf(helpers) {
  return statement => helpers.withPgClient(db => db.query(statement))
}

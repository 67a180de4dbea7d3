import type { Announcement, CallOptions, Clock, PutResult } from '@kwaai/interface'
import { ERR_DHT_NOT_RUNNING, dhtError } from './errors.ts'
import type { TaskSet } from './task-set.ts'

/**
 * Keeps a record alive: puts it again at each interval, whatever happened to the put before.
 *
 * `put` and `withdraw` take a place in line, so that a withdrawal is never overtaken by a put that began before it.
 */
export function createAnnouncement(init: {
  value: Uint8Array
  intervalMs: number
  clock: Clock
  /** Where the renewals run. */
  tasks: TaskSet
  put: (value: Uint8Array, options: CallOptions) => Promise<PutResult>
  withdraw: (options: CallOptions) => Promise<unknown>
}): Announcement {
  const { intervalMs, clock, tasks, put, withdraw } = init
  const ended = new AbortController()
  let { value } = init
  let line: Promise<unknown> = Promise.resolve()
  const next = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = line.then(work, work)
    line = turn.catch(() => undefined)
    return turn
  }

  tasks.run(async (stopped) => {
    const signal = AbortSignal.any([stopped, ended.signal])
    for (;;) {
      await clock.sleep(intervalMs, { signal })
      // A put that fails is followed by another: three may be missed before the record expires.
      await next(async () => put(value, { signal })).catch(() => undefined)
    }
  })

  return {
    refresh: (newValue, options = {}) =>
      next(async () => {
        if (ended.signal.aborted) {
          throw dhtError(ERR_DHT_NOT_RUNNING, 'Cannot refresh the announcement: it was stopped')
        }
        if (newValue !== undefined) value = newValue.slice()
        return put(value, options)
      }),
    stop: async (options = {}) => {
      if (ended.signal.aborted) return
      ended.abort(new Error('The announcement was stopped'))
      await next(() => withdraw(options))
    }
  }
}

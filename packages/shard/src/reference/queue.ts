import { shardError } from '../errors.ts'

/** Runs tasks one after another, in the order they came. */
export interface Queue {
  /** @throws the signal's reason when it aborts while the task waits; `ERR_BACKEND_BUSY` when too many wait. */
  run<T>(task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T>
  /** Settles when everything asked for so far is done. */
  idle(): Promise<void>
}

/** A queue for at most `limit` tasks. */
export function createQueue(limit: number): Queue {
  let tail: Promise<void> = Promise.resolve()
  let length = 0
  return {
    async run(task, signal) {
      signal?.throwIfAborted()
      if (length >= limit)
        throw shardError('ERR_BACKEND_BUSY', `Cannot take the call: ${length} wait already`)
      length++
      const before = tail
      let done = (): void => undefined
      const own = new Promise<void>((resolve) => (done = resolve))
      // Whoever gives up waiting must not let the next one in early.
      tail = before.then(() => own)
      try {
        await unlessAborted(before, signal)
        return await task()
      } finally {
        length--
        done()
      }
    },
    idle: () => tail
  }
}

function unlessAborted(turn: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return turn
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    void turn.then(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
  })
}

import type { CallOptions } from '@kwaai/interface'

/** Runs work one after the other. */
export type Queue = <T>(work: () => Promise<T>, options?: CallOptions) => Promise<T>

/** Makes a queue: a call begins when those before it have ended, whatever became of them. */
export function createQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve()
  return (work, { signal } = {}) => {
    signal?.throwIfAborted()
    const result = last.then(() => {
      signal?.throwIfAborted()
      return work()
    })
    last = result.catch(() => undefined)
    return result
  }
}

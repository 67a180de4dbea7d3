import type { Clock } from '../common.ts'
import type { RawStream } from './raw-stream.ts'

/** How long the peer has to end its side once the own side has ended and nobody reads: 10 s. */
const LINGER_MS = 10_000

/**
 * Ends a stream's own side, and resets the stream if the peer neither ends its side nor is read from for a
 * while: a peer that never closes must not hold a stream for ever.
 */
export function createLinger(
  raw: RawStream,
  clock: Clock
): { close(): Promise<void>; reading<T>(task: () => Promise<T>): Promise<T> } {
  let closing: Promise<void> | undefined
  let readers = 0
  let timer: AbortController | undefined

  const arm = (): void => {
    timer?.abort()
    if (closing === undefined || readers > 0 || raw.closed.aborted) return
    const current = new AbortController()
    timer = current
    const done = (): void => current.abort()
    raw.closed.addEventListener('abort', done, { once: true })
    clock
      .sleep(LINGER_MS, { signal: current.signal })
      .then(
        () => raw.abort(),
        () => undefined
      )
      .finally(() => raw.closed.removeEventListener('abort', done))
  }

  return {
    close: () => {
      closing ??= raw.closeWrite()
      arm()
      return closing
    },
    reading: async (task) => {
      readers += 1
      timer?.abort()
      try {
        return await task()
      } finally {
        readers -= 1
        arm()
      }
    }
  }
}

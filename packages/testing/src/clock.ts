import type { Clock } from '@kwaai/interface'
import { macrotask } from './macrotask.ts'

/** A clock that stands still until it is told to go on. */
export interface FakeClock extends Clock {
  /**
   * Moves time on. Whoever sleeps wakes in order of waking time, each at its own time, and what it does as a
   * consequence is done before the next one wakes.
   */
  advance(ms: number): Promise<void>
  /** Moves time on to the next one who wakes, and no further. @returns false where nobody sleeps. */
  advanceToNext(): Promise<boolean>
  /** How many sleep now. */
  readonly sleeping: number
}

interface Sleeper {
  at: number
  wake: () => void
}

/** Makes a {@link FakeClock} that starts at `now` (default 2026-01-01 UTC). */
export function createFakeClock(init: { now?: number } = {}): FakeClock {
  const start = init.now ?? Date.UTC(2026, 0, 1)
  let elapsed = 0
  const sleepers = new Set<Sleeper>()

  const next = (until: number): Sleeper | undefined => {
    let first: Sleeper | undefined
    for (const sleeper of sleepers) {
      if (sleeper.at <= until && (first === undefined || sleeper.at < first.at)) first = sleeper
    }
    return first
  }

  const wakeUntil = async (until: number): Promise<void> => {
    await macrotask()
    for (let sleeper = next(until); sleeper !== undefined; sleeper = next(until)) {
      elapsed = Math.max(elapsed, sleeper.at)
      sleeper.wake()
      await macrotask()
    }
    elapsed = until
  }

  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    sleep: (ms, { signal } = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const abort = (): void => {
          sleepers.delete(sleeper)
          reject(signal?.reason)
        }
        const sleeper: Sleeper = {
          // However short it is, time passes: or who waits for a rounding error would wait for ever.
          at: ms > 0 ? Math.max(elapsed + ms, elapsed * (1 + Number.EPSILON)) : elapsed,
          wake: () => {
            sleepers.delete(sleeper)
            signal?.removeEventListener('abort', abort)
            resolve()
          }
        }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', abort, { once: true })
      }),
    advance: (ms) => wakeUntil(elapsed + ms),
    async advanceToNext() {
      const sleeper = next(Infinity)
      if (sleeper !== undefined) await wakeUntil(sleeper.at)
      return sleeper !== undefined
    },
    get sleeping() {
      return sleepers.size
    }
  }
}

import type { CallOptions, Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'

/** Remembers presentations, so that each is accepted once. */
export interface ReplayGuard {
  /**
   * Takes a key for itself. Answers false where it was taken before, or where that cannot be known. Of two calls at
   * once with the same key one alone is answered with true.
   */
  claim(key: string, options?: CallOptions): boolean | Promise<boolean>
}

/** How long and how much is remembered. */
export interface ReplayGuardInit {
  /** How long a key is kept: longer than a challenge of yours is good for. Default ten minutes. */
  keepMs?: number
  /** Most keys; while it is full every new one is refused. Default 100 000. */
  maxKeys?: number
}

/** What a guard needs. */
export interface ReplayGuardComponents {
  clock?: Pick<Clock, 'monotonic'>
}

/** A guard in memory, for one process. Several need a store that they share, behind the same contract. */
export function createReplayGuard(
  init: ReplayGuardInit = {},
  { clock = systemClock }: ReplayGuardComponents = {}
): ReplayGuard {
  const { keepMs = 600_000, maxKeys = 100_000 } = init
  // In the order of their end, because all are kept for the same time.
  const ends = new Map<string, number>()
  return {
    claim(key) {
      const now = clock.monotonic()
      for (const [old, end] of ends) {
        if (end > now) break
        ends.delete(old)
      }
      if (ends.has(key) || ends.size >= maxKeys) return false
      ends.set(key, now + keepMs)
      return true
    }
  }
}

import type { CallOptions, Clock } from '@kwaai/interface'

/** Openings that wait at once. */
const maxWaiting = 256

/** Openings that wait until something changes that may give them servers. */
export interface OpeningLine {
  /** How often something changed until now. */
  readonly changes: number
  /** Something changed: all that wait look again. */
  changed(): void
  /**
   * Waits for a change since there were so many, or for so many milliseconds. Rejects for the signal alone.
   *
   * @returns false, at once, where too many wait already.
   */
  wait(since: number, ms: number, options?: CallOptions): Promise<boolean>
}

/** Makes a line in which nobody waits. */
export function createOpeningLine(clock: Clock): OpeningLine {
  let next = new AbortController()
  let changes = 0
  let waiting = 0

  return {
    get changes() {
      return changes
    },
    changed() {
      changes++
      if (waiting === 0) return
      next.abort()
      next = new AbortController()
    },
    async wait(since, ms, { signal } = {}) {
      signal?.throwIfAborted()
      if (changes !== since) return true
      if (waiting >= maxWaiting) return false
      waiting++
      try {
        const either = signal === undefined ? next.signal : AbortSignal.any([next.signal, signal])
        await clock.sleep(ms, { signal: either }).catch(() => undefined)
        signal?.throwIfAborted()
        return true
      } finally {
        waiting--
      }
    }
  }
}

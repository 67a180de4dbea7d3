import type { Clock, StoredRecord } from '@kwaai/interface'

/** Tells watchers that something under a key has changed at the own node. */
export interface ChangeSignals {
  changed(key: string): void
  /** A promise that settles at the next change of the key, or when the signal aborts. */
  next(key: string, signal: AbortSignal): Promise<void>
}

/** Makes change signals. */
export function createChangeSignals(): ChangeSignals {
  const waiting = new Map<string, Set<() => void>>()
  return {
    changed: (key) => {
      const wake = waiting.get(key)
      waiting.delete(key)
      for (const each of wake ?? []) each()
    },
    next: (key, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve()
        const wakers = waiting.get(key) ?? new Set()
        const wake = (): void => {
          wakers.delete(wake)
          if (wakers.size === 0 && waiting.get(key) === wakers) waiting.delete(key)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        waiting.set(key, wakers.add(wake))
        signal.addEventListener('abort', wake, { once: true })
      })
  }
}

/** Looks at a key at each interval, and at once when the own node learns something; yields what differs. */
export async function* watchRecords(init: {
  key: string
  intervalMs: number
  clock: Clock
  changes: ChangeSignals
  get: (signal: AbortSignal) => Promise<StoredRecord[]>
  signal: AbortSignal
}): AsyncGenerator<StoredRecord[], void, undefined> {
  const { key, intervalMs, clock, changes, get, signal } = init
  let last: string | undefined
  while (!signal.aborted) {
    const round = new AbortController()
    const over = AbortSignal.any([signal, round.signal])
    try {
      // Begun before the look, so that no change falls between the two.
      const change = changes.next(key, over)
      const records = await get(signal)
      const version = JSON.stringify(
        records.map(({ signer, subkey, sequence }) => [signer, subkey, sequence])
      )
      if (version !== last) {
        last = version
        yield records
      }
      await Promise.race([change, clock.sleep(intervalMs, { signal: over }).catch(() => undefined)])
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      round.abort(new Error('The next round begins'))
    }
  }
}

import type { Clock, Random } from '@kwaai/interface'

/** Milliseconds a peer is left out after its first failure; doubled with each more, up to the maximum. */
const firstHoldMs = 2_000
const maxHoldMs = 120_000
/** Peers remembered. */
const maxHolds = 1_024

/** Peers left out for a while because they failed. */
export interface Holds {
  /** Leaves a peer out: for `ms` where it said so itself, else longer with each failure in a row. */
  add(peer: string, why: string, ms?: number): void
  /** The peer works: its failures are forgotten. */
  clear(peer: string): void
  /** Why a peer is left out now. */
  reason(peer: string): string | undefined
  /** Milliseconds until the first of those left out comes back. */
  nextMs(): number | undefined
}

/** Makes an empty list. */
export function createHolds(clock: Clock, random: Random): Holds {
  const holds = new Map<string, { until: number; failures: number; why: string }>()
  const left = (hold: { until: number }): number => hold.until - clock.monotonic()

  return {
    add(peer, why, ms) {
      const failures = (holds.get(peer)?.failures ?? 0) + (ms === undefined ? 1 : 0)
      const backOffMs = Math.min(maxHoldMs, firstHoldMs * 2 ** (failures - 1)) * (1 + 0.25 * random.next())
      // Put last, so that the oldest is dropped first.
      holds.delete(peer)
      holds.set(peer, { until: clock.monotonic() + Math.min(ms ?? backOffMs, maxHoldMs), failures, why })
      const [oldest] = holds.keys()
      if (holds.size > maxHolds && oldest !== undefined) holds.delete(oldest)
    },
    clear(peer) {
      holds.delete(peer)
    },
    reason(peer) {
      const hold = holds.get(peer)
      if (hold === undefined || left(hold) <= 0) return undefined
      return `It is left out for ${Math.ceil(left(hold) / 1000)} s more: ${hold.why}`
    },
    nextMs() {
      const waits = [...holds.values()].map(left).filter((ms) => ms > 0)
      return waits.length === 0 ? undefined : Math.min(...waits)
    }
  }
}

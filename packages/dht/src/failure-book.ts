import type { PeerId } from '@kwaai/interface'

/** Remembers who did not answer, so that one dead peer does not cost every lookup a timeout. */
export interface FailureBook {
  /** A peer has answered, or has come to us. */
  succeeded(peer: PeerId): void
  /**
   * A peer has not answered. One failure may be chance; from the second on (or at once when `weight` is 2) it is
   * left alone for a while that doubles each time. `known`: it has answered before.
   */
  failed(peer: PeerId, now: number, how?: { weight?: 1 | 2; known?: boolean }): void
  /** True while a peer is left alone. */
  blocked(peer: PeerId, now: number): boolean
  /** Who failed, has answered before and may be asked again now, latest first. */
  worthRetrying(now: number, count: number): PeerId[]
}

// hivemind waits 5 s, doubled with each failure; the longest wait is own choice, so that a healed partition is
// found within a minute.
const FIRST_WAIT_MS = 5_000
const LONGEST_WAIT_MS = 60_000
const MAX_PEERS = 1024

/** Makes a failure book of at most 1,024 peers; the oldest failures are forgotten first. */
export function createFailureBook(): FailureBook {
  const failures = new Map<PeerId, { count: number; until: number; known: boolean }>()
  return {
    succeeded: (peer) => void failures.delete(peer),
    failed: (peer, now, { weight = 1, known = false } = {}) => {
      const before = failures.get(peer)
      const count = Math.min((before?.count ?? 0) + weight, 30)
      const wait = count < 2 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (count - 2), LONGEST_WAIT_MS)
      failures.delete(peer)
      failures.set(peer, { count, until: now + wait, known: known || before?.known === true })
      for (const oldest of failures.keys()) {
        if (failures.size <= MAX_PEERS) break
        failures.delete(oldest)
      }
    },
    blocked: (peer, now) => (failures.get(peer)?.until ?? 0) > now,
    worthRetrying: (now, count) =>
      [...failures]
        .filter(([, { until, known }]) => known && until <= now)
        .map(([peer]) => peer)
        .toReversed()
        .slice(0, count)
  }
}

import type { Clock } from '@kwaai/interface'

/** Milliseconds a refusal is believed at most. */
const maxWaitMs = 120_000
/** Peers remembered. */
const maxPeers = 1_024

/** Who said that it has no room for a session of some size: a smaller one may fit, and nothing is wrong with it. */
export interface RoomMemory {
  /** A peer has no room for so many rows, 0 for none of any size, and says when to ask again. */
  full(peer: string, tokens: number, why: string, retryAfterMs: number): void
  /** Why a peer is not to be asked for so many rows now; undefined where it may be. */
  reason(peer: string, tokens: number): string | undefined
  /** Milliseconds until the first of them may be asked again. */
  nextMs(): number | undefined
}

/** Makes a memory that knows of nobody. */
export function createRoomMemory(clock: Clock): RoomMemory {
  // What a peer said last; the oldest comes first.
  const refusals = new Map<string, { tokens: number; why: string; until: number }>()

  return {
    full(peer, tokens, why, retryAfterMs) {
      const now = clock.monotonic()
      const before = refusals.get(peer)
      const own = { tokens, why, until: now + Math.min(retryAfterMs, maxWaitMs) }
      refusals.delete(peer)
      // Openings cross: of two refusals that hold, the one that says more is believed, for as long as both say.
      const both = before !== undefined && before.until > now
      refusals.set(peer, {
        ...(both && before.tokens < tokens ? before : own),
        until: both ? Math.max(before.until, own.until) : own.until
      })
      const [oldest] = refusals.keys()
      if (refusals.size > maxPeers && oldest !== undefined) refusals.delete(oldest)
    },
    reason(peer, tokens) {
      const refusal = refusals.get(peer)
      if (refusal === undefined || tokens < refusal.tokens) return undefined
      const leftMs = refusal.until - clock.monotonic()
      return leftMs > 0 ? `It is full for ${Math.ceil(leftMs / 1000)} s more: ${refusal.why}` : undefined
    },
    nextMs() {
      const now = clock.monotonic()
      const waits = [...refusals.values()].map(({ until }) => until - now).filter((ms) => ms > 0)
      return waits.length === 0 ? undefined : Math.min(...waits)
    }
  }
}

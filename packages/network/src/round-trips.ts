import type { PeerId } from '@kwaai/interface'

/** Measurements of a peer that are remembered. */
const REMEMBERED = 8

/** Round trips as they were measured lately. */
export interface RoundTrips {
  /** Remembers a measurement; one that equals the newest is taken for the same. */
  add(peer: PeerId, rttMs: number): void
  /** The least of those remembered: what delays a single answer only ever adds to the way itself. */
  least(peer: PeerId): number | undefined
  forget(peer: PeerId): void
  clear(): void
}

/** Makes an empty memory; it is bounded where peers that leave are forgotten. */
export function createRoundTrips(): RoundTrips {
  const measured = new Map<PeerId, number[]>()
  return {
    add(peer, rttMs) {
      const own = measured.get(peer) ?? []
      if (own.at(-1) === rttMs) return
      own.push(rttMs)
      if (own.length > REMEMBERED) own.shift()
      measured.set(peer, own)
    },
    least(peer) {
      const own = measured.get(peer)
      return own === undefined ? undefined : Math.min(...own)
    },
    forget: (peer) => void measured.delete(peer),
    clear: () => measured.clear()
  }
}

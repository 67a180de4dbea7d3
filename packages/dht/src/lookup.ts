import type { PeerId } from '@kwaai/interface'
import { compareDistance, idOfPeer, type DhtId } from './id.ts'

/** What a lookup starts with. */
export interface LookupInit {
  /** The own peer, which is never asked. */
  self: PeerId
  target: DhtId
  /** How many closest peers are wanted. */
  k: number
  /** Peers to start from. */
  seeds: readonly PeerId[]
}

/** An iterative search for the k closest peers to a point (Kademlia, section 2.3), as a state machine. */
export interface Lookup {
  /** The next peer to ask now, or `undefined`: wait for those being asked, or it is {@link Lookup.done}. */
  next(): PeerId | undefined
  /** A peer has answered with peers it knows; only the k closest of them count. */
  answered(peer: PeerId, closer: readonly PeerId[]): void
  /** A peer has not answered. */
  failed(peer: PeerId): void
  /** True once the k closest peers that live have answered. */
  readonly done: boolean
  /** Those who answered, closest first, at most k. */
  closest(): PeerId[]
}

interface Candidate {
  readonly peer: PeerId
  readonly id: DhtId
  state: 'new' | 'asked' | 'answered' | 'failed'
  /** Who named it; nobody for a seed. */
  readonly sources: Set<PeerId>
  seed: boolean
}

// A peer that names so many others who do not answer is taken for a liar: whom it alone names is asked last.
const LIES = 3

/**
 * Makes a {@link Lookup}. It asks at most 4k + 32 peers: a walk needs k and a few for each halving of the
 * distance, and an adversary can name peers without end.
 */
export function createLookup(init: LookupInit): Lookup {
  const { self, target, k } = init
  const maxQueries = 4 * k + 32
  const candidates = new Map<PeerId, Candidate>()
  const lies = new Map<PeerId, number>()
  let queries = 0

  const add = (peer: PeerId, source: PeerId | undefined): void => {
    if (peer === self) return
    let candidate = candidates.get(peer)
    if (candidate === undefined) {
      candidate = { peer, id: idOfPeer(peer), state: 'new', sources: new Set(), seed: source === undefined }
      candidates.set(peer, candidate)
    }
    if (source !== undefined) candidate.sources.add(source)
  }
  const doubted = ({ seed, state, sources }: Candidate): boolean =>
    !seed && state !== 'answered' && [...sources].every((source) => (lies.get(source) ?? 0) >= LIES)
  /** The k closest that have not failed; those named by liars alone behind all others. */
  const window = (): Candidate[] =>
    [...candidates.values()]
      .filter(({ state }) => state !== 'failed')
      .map((candidate) => ({ candidate, doubt: Number(doubted(candidate)) }))
      .toSorted((a, b) => a.doubt - b.doubt || compareDistance(target, a.candidate.id, b.candidate.id))
      .slice(0, k)
      .map(({ candidate }) => candidate)

  for (const seed of init.seeds) add(seed, undefined)

  return {
    next: () => {
      if (queries >= maxQueries) return undefined
      const candidate = window().find(({ state }) => state === 'new')
      if (candidate === undefined) return undefined
      candidate.state = 'asked'
      queries += 1
      return candidate.peer
    },
    answered: (peer, closer) => {
      const candidate = candidates.get(peer)
      if (candidate?.state !== 'asked') return
      candidate.state = 'answered'
      const named = [...new Set(closer)]
        .map((name) => ({ name, id: idOfPeer(name) }))
        .toSorted((a, b) => compareDistance(target, a.id, b.id))
        .slice(0, k)
      for (const { name } of named) add(name, peer)
    },
    failed: (peer) => {
      const candidate = candidates.get(peer)
      if (candidate?.state !== 'asked') return
      candidate.state = 'failed'
      for (const source of candidate.sources) lies.set(source, (lies.get(source) ?? 0) + 1)
    },
    get done() {
      const states = window().map(({ state }) => state)
      return !states.includes('asked') && (queries >= maxQueries || !states.includes('new'))
    },
    closest: () =>
      [...candidates.values()]
        .filter(({ state }) => state === 'answered')
        .toSorted((a, b) => compareDistance(target, a.id, b.id))
        .slice(0, k)
        .map(({ peer }) => peer)
  }
}

/**
 * Runs a lookup with `alpha` requests in flight until it is done.
 *
 * `ask` gives the peers a peer names, and rejects when it does not answer. Its signal aborts when the answer no
 * longer matters.
 */
export async function runLookup(
  lookup: Lookup,
  options: {
    alpha: number
    ask: (peer: PeerId, signal: AbortSignal) => Promise<readonly PeerId[]>
    signal: AbortSignal
  }
): Promise<PeerId[]> {
  const { alpha, ask } = options
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  const asked = new Map<PeerId, Promise<void>>()
  const query = async (peer: PeerId): Promise<void> => {
    try {
      lookup.answered(peer, await ask(peer, signal))
    } catch {
      lookup.failed(peer)
    }
    asked.delete(peer)
  }
  try {
    while (!lookup.done) {
      options.signal.throwIfAborted()
      let peer = asked.size < alpha ? lookup.next() : undefined
      while (peer !== undefined) {
        asked.set(peer, query(peer))
        peer = asked.size < alpha ? lookup.next() : undefined
      }
      if (asked.size === 0) break
      await Promise.race(asked.values())
    }
  } finally {
    over.abort(new Error('The lookup is over'))
  }
  options.signal.throwIfAborted()
  return lookup.closest()
}

import {
  deadlineSignal,
  type CallOptions,
  type Clock,
  type Did,
  type Network,
  type Random,
  type RouteConstraints,
  type TrustAssessment,
  type TrustView
} from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { Advert } from './advert.ts'
import { until } from './advert-view.ts'
import { passesAlone, type TrustFact } from './constraints.ts'

/** Milliseconds in which peers are measured and judged; who is not done then counts as unknown. */
const findMs = 1_000
/** Milliseconds what was found is believed. */
const factsMs = 60_000
/** Peers measured at once, each by a connection of its own, and judged at once. */
const maxMeasured = 32
const maxJudged = 256
/** Measurements under way, of all requests together. */
const maxPings = 128
/** Peers remembered. */
const maxPeers = 1_024
/** What servers are judged for. */
const trustContext = 'shard/forward'

/** What is known of peers beyond their adverts. */
export interface PeerFacts {
  /** The measured round trip in milliseconds. */
  rttMs(peer: string): number | undefined
  /** How far it is trusted, or why nobody can say. */
  trust(peer: string): TrustFact | undefined
  /**
   * Finds out what constraints ask of the peers that meet all the others: their round trips, how far they are
   * trusted. Takes a second at most, and none where nothing is missing. Rejects for the signal alone.
   */
  find(adverts: readonly Advert[], constraints: RouteConstraints, options?: CallOptions): Promise<void>
  /** Measures the round trips nobody knows. Never rejects. */
  measure(adverts: readonly Advert[]): Promise<void>
}

/** What finding out needs. */
export interface PeerFactsComponents {
  network: Network
  clock: Clock
  random: Random
  trust?: TrustView
  /** Whose identity stands behind a peer. */
  didOf: (peer: string) => Did | undefined
}

/** Makes an empty memory of facts. */
export function createPeerFacts(components: PeerFactsComponents): PeerFacts {
  const { network, clock, random, trust: judge, didOf } = components
  const trips = createMemory<number>(clock)
  const judgements = createMemory<TrustFact>(clock)
  const pings = new Map<string, Promise<void>>()

  /** Some of many: chance, not the order in which they come, decides who is passed over. */
  const some = (peers: Iterable<string>, most: number): string[] => {
    const all = [...peers].map((peer) => ({ peer, place: random.next() }))
    return all
      .toSorted((a, b) => a.place - b.place)
      .slice(0, most)
      .map(({ peer }) => peer)
  }
  const rttMs = (peer: string): number | undefined =>
    // The own server is no way off.
    peer === network.peerId ? 0 : (network.connection(peer)?.rttMs ?? trips.get(peer))

  /** Runs until it is done or the time is over, whoever waits for it. Never rejects. */
  const withinTime = async (work: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    const timer = deadlineSignal(clock, findMs, () =>
      shardError('ERR_SHARD_DEADLINE_EXCEEDED', `Cannot find out more within ${findMs} ms`)
    )
    await work(timer.signal).finally(timer.clear)
  }
  const ping = (peer: string): Promise<void> => {
    const running = pings.get(peer)
    if (running !== undefined) return running
    if (pings.size >= maxPings) return Promise.resolve()
    const started = withinTime(async (signal) => {
      try {
        trips.set(peer, await until(network.ping(peer, { signal }), signal))
      } catch {
        // It stays unknown; whoever needs the figure refuses the peer.
      }
    }).finally(() => pings.delete(peer))
    pings.set(peer, started)
    return started
  }
  const assess = (peer: string, view: TrustView): Promise<void> =>
    withinTime(async (signal) => {
      const did = didOf(peer)
      if (did === undefined) return
      try {
        judgements.set(peer, checked(await until(view.assess(did, trustContext, { signal }), signal)))
      } catch {
        judgements.set(peer, signal.aborted ? `there was no answer within ${findMs} ms` : 'the judge failed')
      }
    })
  const unmeasured = (adverts: readonly Advert[]): string[] =>
    some(new Set(adverts.map(({ peer }) => peer).filter((peer) => rttMs(peer) === undefined)), maxMeasured)

  return {
    rttMs,
    trust: (peer) => (peer === network.peerId ? ownTrust : judgements.get(peer)),
    async find(adverts, constraints, { signal } = {}) {
      const asksTrust = constraints.minTier !== undefined || constraints.minScore !== undefined
      const asksTrips = constraints.maxRttMs !== undefined || constraints.maxLatencyMs !== undefined
      if (!asksTrust && !asksTrips) return
      const able = adverts.filter((advert) => passesAlone(advert, constraints))
      const strangers = new Set(asksTrust ? able.map(({ peer }) => peer) : [])
      strangers.delete(network.peerId)
      const work = asksTrips ? unmeasured(able).map(ping) : []
      if (judge !== undefined) work.push(...some(strangers, maxJudged).map((peer) => assess(peer, judge)))
      await until(Promise.all(work), signal)
    },
    async measure(adverts) {
      await Promise.all(unmeasured(adverts).map(ping))
    }
  }
}

/** Whoever plans trusts the own machine. */
const ownTrust: TrustAssessment = {
  score: 1,
  lowerBound: 1,
  uncertainty: 0,
  tier: 'trusted',
  reasons: ['It is the own machine']
}

function checked(assessment: TrustAssessment): TrustFact {
  const { lowerBound } = assessment
  return typeof lowerBound === 'number' && lowerBound >= 0 && lowerBound <= 1
    ? assessment
    : 'the judgement makes no sense'
}

/** Values that are believed for a while. */
function createMemory<T>(clock: Clock): {
  get(peer: string): T | undefined
  set(peer: string, value: T): void
} {
  const values = new Map<string, { value: T; at: number }>()
  return {
    get(peer) {
      const found = values.get(peer)
      return found !== undefined && clock.monotonic() - found.at < factsMs ? found.value : undefined
    },
    set(peer, value) {
      values.delete(peer)
      values.set(peer, { value, at: clock.monotonic() })
      const [oldest] = values.keys()
      if (values.size > maxPeers && oldest !== undefined) values.delete(oldest)
    }
  }
}

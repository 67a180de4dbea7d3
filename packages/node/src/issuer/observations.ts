import type { BatchOperation, CallOptions, Clock, KeyValueStore, PeerId } from '@kwaai/interface'

/** How often a peer was asked and answered, over a stretch of time. */
export interface ProbeTotals {
  /** Milliseconds since 1970 of the first and the last probe. */
  from: number
  until: number
  probes: number
  answered: number
}

/** One measured answer that a peer computed a part of. */
export interface ThroughputSample {
  /** Milliseconds since 1970. */
  at: number
  model: string
  modelHash: string
  /** Tokens after the first, and how many of them came a second. */
  tokens: number
  tokensPerSecond: number
}

/** What is known of a peer. */
export interface PeerObservations {
  peer: PeerId
  /** Of each day, by its number since 1970. */
  days: Readonly<Record<string, ProbeTotals>>
  samples: readonly ThroughputSample[]
}

/** What an issuer has seen of its peers, kept in a store that one process writes. */
export interface ObservationLog {
  /** Peers that are watched. */
  peers(): Promise<PeerId[]>
  /**
   * Begins to watch a peer. Where as many as may be are watched already, the one goes that answered least of those that
   * did not answer the last probe: whoever only passes by keeps nobody's place.
   *
   * @returns false where all of them answer.
   */
  watch(peer: PeerId, options?: CallOptions): Promise<boolean>
  /** Notes a round of probes, all of it or nothing of it: which of the watched peers answered. */
  probed(answers: ReadonlyMap<PeerId, boolean>, options?: CallOptions): Promise<void>
  measured(peer: PeerId, sample: ThroughputSample, options?: CallOptions): Promise<void>
  get(peer: PeerId, options?: CallOptions): Promise<PeerObservations | undefined>
}

/** What an {@link ObservationLog} is told. */
export interface ObservationLogInit {
  /** Days that count. Default 30. */
  windowDays?: number
  /** Peers watched at most. Default 4,096. */
  maxPeers?: number
  /** Days without one answer after which a peer is not watched any more. Default 14. */
  forgetDays?: number
}

const dayMs = 86_400_000
const maxSamples = 64
const prefix = 'observed/'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Keeps observations, a key for each peer, the days beyond the window left out. */
export function createObservationLog(
  init: ObservationLogInit,
  { store, clock }: { store: KeyValueStore; clock: Clock }
): ObservationLog {
  const { windowDays = 30, maxPeers = 4_096, forgetDays = 14 } = init
  const today = (): number => Math.floor(clock.now() / dayMs)

  // One change at a time, so that none is lost.
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }

  const read = async (peer: PeerId, options: CallOptions): Promise<PeerObservations | undefined> => {
    const value = await store.get(prefix + peer, options)
    if (value === undefined) return undefined
    const kept = JSON.parse(decoder.decode(value)) as PeerObservations
    const last = today()
    const first = last - windowDays + 1
    // What is still to come was noted under a clock that was set back since.
    return {
      peer,
      days: Object.fromEntries(
        Object.entries(kept.days).filter(([day]) => Number(day) >= first && Number(day) <= last)
      ),
      samples: kept.samples
        .filter(({ at }) => at >= first * dayMs && at < (last + 1) * dayMs)
        .slice(-maxSamples)
    }
  }
  const encoded = (observations: PeerObservations): Uint8Array => encoder.encode(JSON.stringify(observations))

  // This process alone adds to them, so they are read once.
  let names: Promise<Map<PeerId, Standing>> | undefined
  const watched = (): Promise<Map<PeerId, Standing>> => {
    names ??= (async () => {
      const found = new Map<PeerId, Standing>()
      for await (const [key, value] of store.entries({ gte: prefix, lt: `${prefix}~` })) {
        const { days } = JSON.parse(decoder.decode(value)) as PeerObservations
        found.set(key.slice(prefix.length), { answers: answersIn(days), silent: false })
      }
      return found
    })()
    names.catch(() => (names = undefined))
    return names
  }
  const isGone = ({ days }: PeerObservations): boolean => {
    const recent = Object.entries(days).filter(([day]) => Number(day) > today() - forgetDays)
    const answered = recent.some(([, totals]) => totals.answered > 0)
    const watchedLong = Object.keys(days).some((day) => Number(day) <= today() - forgetDays)
    return !answered && (watchedLong || Object.keys(days).length === 0)
  }

  return {
    peers: async () => [...(await watched()).keys()],
    watch: (peer, options = {}) =>
      inTurn(async () => {
        const known = await watched()
        if (known.has(peer)) return true
        const gone = known.size < maxPeers ? undefined : leastOfSilent(known)
        if (known.size >= maxPeers && gone === undefined) return false
        const value = encoded({ peer, days: {}, samples: [] })
        await store.batch(
          [
            ...(gone === undefined ? [] : [{ type: 'delete' as const, key: prefix + gone }]),
            { type: 'put', key: prefix + peer, value }
          ],
          options
        )
        if (gone !== undefined) known.delete(gone)
        known.set(peer, { answers: 0, silent: false })
        return true
      }),
    probed: (answers, options = {}) =>
      inTurn(async () => {
        const known = await watched()
        const now = clock.now()
        const operations: BatchOperation[] = []
        const standings = new Map<PeerId, Standing>()
        for (const [peer, answered] of answers) {
          const before = known.has(peer) ? await read(peer, options) : undefined
          if (before === undefined) {
            // It was forgotten since, by `kwaai audit erase`: it may be met anew.
            known.delete(peer)
            continue
          }
          const day = before.days[today()] ?? { from: now, until: now, probes: 0, answered: 0 }
          const totals: ProbeTotals = {
            // A clock that is set back must not end a period before it begins.
            from: Math.min(day.from, now),
            until: now,
            probes: day.probes + 1,
            answered: day.answered + (answered ? 1 : 0)
          }
          const after = { ...before, days: { ...before.days, [today()]: totals } }
          const key = prefix + peer
          if (isGone(after)) operations.push({ type: 'delete', key })
          else {
            operations.push({ type: 'put', key, value: encoded(after) })
            standings.set(peer, { answers: answersIn(after.days), silent: !answered })
          }
        }
        await store.batch(operations, options)
        for (const { type, key } of operations) if (type === 'delete') known.delete(key.slice(prefix.length))
        for (const [peer, standing] of standings) known.set(peer, standing)
      }),
    measured: (peer, sample, options = {}) =>
      inTurn(async () => {
        const before = await read(peer, options)
        if (before === undefined) return
        const samples = [...before.samples, sample].slice(-maxSamples)
        await store.put(prefix + peer, encoded({ ...before, samples }), options)
      }),
    get: async (peer, options = {}) => read(peer, options)
  }
}

/** What of a peer decides whether it has to make room. */
interface Standing {
  /** Probes answered in the days that are kept. */
  answers: number
  /** The last probe was not answered. */
  silent: boolean
}

function answersIn(days: PeerObservations['days']): number {
  return Object.values(days).reduce((sum, { answered }) => sum + answered, 0)
}

function leastOfSilent(known: ReadonlyMap<PeerId, Standing>): PeerId | undefined {
  let least: [peer: PeerId, answers: number] | undefined
  for (const [peer, { answers, silent }] of known)
    if (silent && answers < (least?.[1] ?? Infinity)) least = [peer, answers]
  return least?.[0]
}

/** The probes of all days together, or `undefined` where there was none. */
export function totalsOf({ days }: PeerObservations): ProbeTotals | undefined {
  const all = Object.values(days)
  if (all.length === 0) return undefined
  return {
    from: Math.min(...all.map(({ from }) => from)),
    until: Math.max(...all.map(({ until }) => until)),
    probes: all.reduce((sum, { probes }) => sum + probes, 0),
    answered: all.reduce((sum, { answered }) => sum + answered, 0)
  }
}

/** The throughput with the model that was measured last: the median of its samples. */
export function throughputOf({ samples }: PeerObservations):
  | {
      model: string
      modelHash: string
      from: number
      until: number
      tokens: number
      samples: number
      tokensPerSecond: number
    }
  | undefined {
  const last = samples.at(-1)
  if (last === undefined) return undefined
  const same = samples.filter(({ modelHash }) => modelHash === last.modelHash)
  const rates = same.map(({ tokensPerSecond }) => tokensPerSecond).toSorted((a, b) => a - b)
  const middle = Math.floor(rates.length / 2)
  const median =
    rates.length % 2 === 1
      ? (rates[middle] as number)
      : ((rates[middle - 1] as number) + (rates[middle] as number)) / 2
  return {
    model: last.model,
    modelHash: last.modelHash,
    from: Math.min(...same.map(({ at }) => at)),
    until: Math.max(...same.map(({ at }) => at)),
    tokens: same.reduce((sum, { tokens }) => sum + tokens, 0),
    samples: same.length,
    // Three figures after the point are more than the measurement has.
    tokensPerSecond: Math.round(median * 1000) / 1000
  }
}

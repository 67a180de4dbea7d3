import type { Random } from '@kwaai/interface'

/** What can go wrong, one plain sentence each. */
export const faultKinds = {
  kill: 'a server dies, all its memory with it; its adverts stay, and it may come back',
  hang: 'a server or client stands still for a while: nothing to it, nothing from it, no timer of it',
  partition: 'a peer is cut off from some or all others for a while',
  restart: 'a server is stopped in good order and another one started at its place',
  drain: 'a server goes away in good order and comes back later',
  amnesia: 'a server loses the memory of all its sessions and lives on',
  runner: 'the runner of a server fails for one call',
  nan: 'the runner of a server gives NaN for one call',
  slow: 'the runner of a server takes long for one call',
  drop: 'one frame to or from a server is lost',
  duplicate: 'one frame to or from a server arrives twice',
  reset: 'one frame to or from a server resets its channel',
  delay: 'one frame to or from a server comes late, and those behind it',
  late: 'one result comes late',
  twice: 'one result comes twice',
  full: 'a server has room for one session alone, whatever its advert says',
  lie: 'an advert names blocks that its server does not run',
  records: 'the record store is out of reach for a while',
  death: 'a client dies',
  cancel: 'a client gives a generation up'
} as const

export type FaultKind = keyof typeof faultKinds

/**
 * One fault of a story. `at` counts the awaits of the world: every arrival and every timer is one. `nth` counts
 * the frames (`late` and `twice`: the results) of the server, or the calls of its runner.
 */
export type Fault = { readonly id: number } & (
  | { kind: 'kill' | 'drain'; peer: string; at: number; ms: number }
  | { kind: 'hang'; peer: string; at: number; ms: number }
  | { kind: 'partition'; peer: string; others: readonly string[]; at: number; ms: number }
  | { kind: 'restart' | 'amnesia' | 'death'; peer: string; at: number }
  | { kind: 'records'; at: number; ms: number }
  | { kind: 'cancel'; peer: string; at: number }
  | { kind: 'runner' | 'nan'; peer: string; nth: number }
  | { kind: 'slow'; peer: string; nth: number; ms: number }
  | { kind: 'drop' | 'duplicate' | 'reset' | 'twice'; peer: string; nth: number }
  | { kind: 'delay' | 'late'; peer: string; nth: number; ms: number }
  | { kind: 'full'; peer: string }
  | { kind: 'lie'; peer: string; from: number; to: number }
)

type FaultBody = Fault extends infer F ? (F extends Fault ? Omit<F, 'id'> : never) : never

/** Whom faults can be aimed at. */
export interface Targets {
  servers: readonly { name: string; from: number; to: number }[]
  clients: readonly string[]
  /** Servers that nothing may touch; where they hold all blocks the story has to end well. */
  spared: ReadonlySet<string>
  kinds: readonly FaultKind[]
  /** How much will happen, about: a fault behind it never comes. */
  extent: { awaits: number; framesEach: number; resultsEach: number; callsEach: number }
}

const onClients: ReadonlySet<FaultKind> = new Set(['records', 'death'])

const onFrames: ReadonlySet<FaultKind> = new Set(['drop', 'duplicate', 'reset', 'delay'])

/** Faults of a story, in no order. */
export function chooseFaults(random: Random, targets: Targets, count: number): Fault[] {
  const { clients, spared, extent } = targets
  const calm = spared.size > 0
  const servers = targets.servers.filter(({ name }) => !spared.has(name))
  const usable = targets.kinds.filter((kind) => !calm || !onClients.has(kind))
  // Frames are many: what hits one of them has to come more often to hit the one that matters.
  const kinds = usable.flatMap((kind) => (onFrames.has(kind) ? [kind, kind] : [kind]))
  if (servers.length === 0 || kinds.length === 0) return []
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T
  const upTo = (most: number): number => 1 + Math.floor(random.next() * most)
  // Short ones and long ones alike: the logarithm is evenly spread.
  const spread = (least: number, most: number): number => Math.round(least * (most / least) ** random.next())

  const one = (kind: FaultKind): FaultBody => {
    const server = pick(servers)
    const peer = server.name
    const at = upTo(extent.awaits)
    switch (kind) {
      case 'kill':
        // Zero: it never comes back.
        return { kind, peer, at, ms: random.next() < 0.4 ? 0 : spread(20, 5_000) }
      case 'drain':
        return { kind, peer, at, ms: spread(20, 5_000) }
      case 'hang': {
        const victim = !calm && random.next() < 0.2 ? pick(clients) : peer
        return { kind, peer: victim, at, ms: spread(50, 60_000) }
      }
      case 'partition': {
        const others = [...clients, ...targets.servers.map(({ name }) => name)].filter(
          (name) => name !== peer
        )
        const some = random.next() < 0.4 ? others : [pick(others)]
        return { kind, peer, others: some, at, ms: spread(50, 20_000) }
      }
      case 'restart':
      case 'amnesia':
        return { kind, peer, at }
      case 'death':
      case 'cancel':
        return { kind, peer: pick(clients), at }
      case 'records':
        return { kind, at, ms: spread(100, 20_000) }
      case 'runner':
      case 'nan':
        return { kind, peer, nth: upTo(extent.callsEach) }
      case 'slow':
        return { kind, peer, nth: upTo(extent.callsEach), ms: spread(100, 60_000) }
      case 'drop':
      case 'duplicate':
      case 'reset':
        return { kind, peer, nth: upTo(extent.framesEach) }
      case 'twice':
        return { kind, peer, nth: upTo(extent.resultsEach) }
      case 'delay':
        return { kind, peer, nth: upTo(extent.framesEach), ms: spread(20, 40_000) }
      case 'late':
        return { kind, peer, nth: upTo(extent.resultsEach), ms: spread(20, 40_000) }
      case 'full':
        return { kind, peer }
      case 'lie': {
        const wrong = pick(targets.servers)
        const range = wrong.from === server.from && wrong.to === server.to ? { from: 0, to: 4 } : wrong
        return { kind, peer, from: range.from, to: range.to }
      }
    }
  }
  return Array.from({ length: count }, (_, index) => ({ id: index + 1, ...one(pick(kinds)) }))
}

/** What a fault is, in words: "kill server-2a at await 120, back after 300 ms". */
export function describeFault(fault: Fault): string {
  const { kind } = fault
  switch (kind) {
    case 'kill':
    case 'drain':
      return `${kind} ${fault.peer} at await ${fault.at}, ${fault.ms === 0 ? 'for ever' : `back after ${fault.ms} ms`}`
    case 'hang':
      return `hang ${fault.peer} at await ${fault.at} for ${fault.ms} ms`
    case 'partition':
      return `cut ${fault.peer} off from ${fault.others.join(', ')} at await ${fault.at} for ${fault.ms} ms`
    case 'restart':
    case 'amnesia':
    case 'death':
    case 'cancel':
      return `${kind} of ${fault.peer} at await ${fault.at}`
    case 'records':
      return `record store out of reach at await ${fault.at} for ${fault.ms} ms`
    case 'runner':
    case 'nan':
      return `${kind === 'nan' ? 'NaN from' : 'failure of'} ${fault.peer}'s runner at its call ${fault.nth}`
    case 'slow':
      return `${fault.peer}'s runner takes ${fault.ms} ms more for its call ${fault.nth}`
    case 'drop':
    case 'duplicate':
    case 'reset':
      return `${kind} frame ${fault.nth} of ${fault.peer}`
    case 'delay':
      return `delay frame ${fault.nth} of ${fault.peer} by ${fault.ms} ms`
    case 'late':
      return `result ${fault.nth} of ${fault.peer} late by ${fault.ms} ms`
    case 'twice':
      return `result ${fault.nth} of ${fault.peer} twice`
    case 'full':
      return `${fault.peer} has room for one session`
    case 'lie':
      return `${fault.peer} announces blocks ${fault.from} to ${fault.to - 1}`
  }
}

/**
 * True where a story has to end well: the servers that no fault touches hold all blocks, and neither clients nor
 * the record store are touched. Cancelled generations do not count.
 */
export function mustSurvive(
  servers: readonly { name: string; from: number; to: number }[],
  faults: readonly Fault[],
  blockCount: number
): boolean {
  const touched = new Set(faults.filter(({ kind }) => kind !== 'cancel').map(peerOf))
  const sound = servers.filter(({ name }) => !touched.delete(name))
  const reached = new Set([0])
  for (let block = 0; block < blockCount; block++) {
    for (const { from, to } of sound) if (from === block && reached.has(from)) reached.add(to)
  }
  return touched.size === 0 && reached.has(blockCount)
}

function peerOf(fault: Fault): string {
  return 'peer' in fault ? fault.peer : 'records'
}

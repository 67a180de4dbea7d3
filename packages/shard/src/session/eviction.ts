import type { PeerId } from '@kwaai/interface'

/** How much a server holds for others. */
export interface AdmissionLimits {
  maxSessions: number
  maxSessionsPerPeer: number
  maxKvBytes: number
  maxKvBytesPerPeer: number
  /** Milliseconds without a word after which a session may have to make room. */
  minIdleMs: number
  /** Milliseconds without a word after which a session ends by itself. */
  idleTimeoutMs: number
}

/** What is asked of the holder of a lease. */
export interface Tenant {
  /** When it was last heard, in milliseconds of the monotonic clock. */
  readonly heardAt: number
  /** True while steps wait or run. */
  busy(): boolean
  /** Ends the session, with the reason that is told to its caller. */
  readonly ended: AbortController
}

/** Room that somebody has. */
export interface Lease {
  readonly peer: PeerId
  readonly bytes: number
  readonly since: number
  readonly tenant: Tenant
}

/** What somebody wants. */
export interface Request {
  peer: PeerId
  bytes: number
}

/** What a caller, or all of them, hold. */
interface Holding {
  sessions: number
  bytes: number
}

/** Who has to go; or why nobody's going would be enough or fair, and whose end would help. */
export type Decision =
  | { type: 'admit'; victims: Lease[] }
  | { type: 'refuse'; lacks: 'sessions' | 'bytes'; scope: 'own' | 'all'; held: number }

/** Sums over leases, by caller and of all. */
export interface Ledger {
  readonly all: Holding
  of(peer: PeerId): Holding
  readonly callers: number
  add(lease: { peer: PeerId; bytes: number }, sign: 1 | -1): void
}

/** Counts leases. */
export function createHoldings(leases: Iterable<Lease>): Ledger {
  const all: Holding = { sessions: 0, bytes: 0 }
  const peers = new Map<PeerId, Holding>()
  const ledger: Ledger = {
    all,
    get callers() {
      return peers.size
    },
    of: (peer) => peers.get(peer) ?? { sessions: 0, bytes: 0 },
    add({ peer, bytes }, sign) {
      const own = ledger.of(peer)
      for (const holding of [all, own]) {
        holding.sessions += sign
        holding.bytes += sign * bytes
      }
      peers.set(peer, own)
    }
  }
  for (const lease of leases) ledger.add(lease, 1)
  return ledger
}

/** True when a session may have to make room for another. */
export function isIdle({ tenant }: Lease, limits: AdmissionLimits, now: number): boolean {
  return !tenant.busy() && !tenant.ended.signal.aborted && now - tenant.heardAt >= limits.minIdleMs
}

/**
 * Decides who makes room for a request: idle sessions, the longest unheard first; the caller's own before others,
 * and of others only those that hold more than an equal share of what is lacking, and more than the caller would.
 * A caller within its share never loses a session to somebody else, and two callers never take from each other in
 * turn.
 */
export function decide(
  request: Request,
  leases: readonly Lease[],
  limits: AdmissionLimits,
  now: number
): Decision {
  const held = createHoldings(leases)
  const victims: Lease[] = []
  const lacksOwn = (): 'sessions' | 'bytes' | undefined => {
    const own = held.of(request.peer)
    if (own.sessions >= limits.maxSessionsPerPeer) return 'sessions'
    return own.bytes + request.bytes > limits.maxKvBytesPerPeer ? 'bytes' : undefined
  }
  const lacks = (what: 'sessions' | 'bytes'): boolean =>
    what === 'sessions'
      ? held.all.sessions >= limits.maxSessions
      : held.all.bytes + request.bytes > limits.maxKvBytes
  const evict = (lease: Lease): void => {
    held.add(lease, -1)
    victims.push(lease)
  }

  const before = createHoldings(leases)
  const idle = leases
    .filter((lease) => isIdle(lease, limits, now))
    .toSorted((a, b) => a.tenant.heardAt - b.tenant.heardAt)
  for (const lease of idle) {
    if (lacksOwn() === undefined && !lacks('sessions') && !lacks('bytes')) break
    if (lease.peer === request.peer) evict(lease)
  }
  const own = lacksOwn()
  if (own !== undefined) {
    return { type: 'refuse', lacks: own, scope: 'own', held: before.of(request.peer)[own] }
  }
  const callers = before.callers + (before.of(request.peer).sessions === 0 ? 1 : 0)
  for (const what of ['sessions', 'bytes'] as const) {
    for (const lease of idle) {
      if (!lacks(what)) break
      if (lease.peer === request.peer || victims.includes(lease)) continue
      if (isAboveShare(lease.peer, what, held, callers, limits, request)) evict(lease)
    }
    if (lacks(what)) return { type: 'refuse', lacks: what, scope: 'all', held: before.all[what] }
  }
  return { type: 'admit', victims }
}

/** True when a caller holds more than its share, and more than the one who asks would hold. */
export function isAboveShare(
  peer: PeerId,
  what: 'sessions' | 'bytes',
  held: Ledger,
  callers: number,
  limits: AdmissionLimits,
  request: Request
): boolean {
  const holds = held.of(peer)[what]
  const would = held.of(request.peer)[what] + (what === 'sessions' ? 1 : request.bytes)
  const most = what === 'sessions' ? limits.maxSessions : limits.maxKvBytes
  return holds > most / callers && holds >= would
}

import type { CallOptions, Clock, PeerId, Random } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import {
  createHoldings,
  decide,
  isAboveShare,
  isIdle,
  type AdmissionLimits,
  type Decision,
  type Lease,
  type Request,
  type Tenant
} from './eviction.ts'

export type { AdmissionLimits, Tenant } from './eviction.ts'

/** Room taken by one session. */
export interface Reservation {
  /** Resolves once the sessions that had to go have given their memory back. */
  ready(options?: CallOptions): Promise<void>
  /** Gives the room back, once the session's memory is free. */
  release(): void
}

/** Who holds how much. */
export interface Admission {
  readonly sessions: number
  readonly kvBytes: number
  /** Room for a caller that has nothing here yet, sessions counted that would have to go for it, in bytes. */
  readonly freeKvBytes: number
  /**
   * Takes room for a session; idle ones may have to go for it: they are ended with `ERR_SHARD_SESSION_EXPIRED`.
   *
   * @throws A KwaaiError `ERR_SHARD_SERVER_FULL` with `details.retryAfterMs`, or `ERR_SHARD_CONTEXT_EXCEEDED` when
   * the session would never fit.
   */
  reserve(peer: PeerId, kvBytes: number, tenant: Tenant): Reservation
}

/** How long a session is taken to live while none has ended yet, in milliseconds. */
const unmeasuredSessionMs = 5_000

/** The shortest wait that is told to a caller, in milliseconds. */
const leastRetryMs = 250

/** Counts sessions and bytes, in total and by caller, and decides who makes room for whom. */
export function createAdmission(
  limits: AdmissionLimits,
  components: { clock: Clock; random: Random }
): Admission {
  const { clock, random } = components
  const leases = new Set<Lease>()
  /** Sessions that have to go and have not gone. */
  const leaving = new Map<Lease, { gone: Promise<void>; go: () => void }>()
  /** How long sessions usually live, in milliseconds; 0 while none has ended. */
  let usualMs = 0

  const full = (request: Request, why: Extract<Decision, { type: 'refuse' }>, now: number): Error => {
    const { lacks, scope, held } = why
    const most = {
      own: { sessions: limits.maxSessionsPerPeer, bytes: limits.maxKvBytesPerPeer },
      all: { sessions: limits.maxSessions, bytes: limits.maxKvBytes }
    }[scope][lacks]
    const who = scope === 'own' ? 'the caller' : 'the server'
    const text =
      lacks === 'sessions'
        ? `${who} has ${held} sessions here already`
        : `it needs ${request.bytes} bytes and ${who} has ${most - held} left`
    // Spread, so that those turned away together do not come back together; later, never earlier.
    const wait = roomInMs(request, why, now) * (1 + random.next() / 2)
    return shardError('ERR_SHARD_SERVER_FULL', `Cannot open the session: ${text}`, {
      details: { retryAfterMs: Math.ceil(wait) }
    })
  }

  /** When enough of the sessions that stand in the way are likely gone, or idle for long enough to have to go. */
  const roomInMs = (
    request: Request,
    { scope }: Extract<Decision, { type: 'refuse' }>,
    now: number
  ): number => {
    const held = createHoldings(leases)
    const callers = held.callers + (held.of(request.peer).sessions === 0 ? 1 : 0)
    const endMs = (lease: Lease): number => {
      const { tenant, since, peer } = lease
      const usual = usualMs === 0 ? unmeasuredSessionMs : usualMs
      // Of one that has lived longer than usual nothing more is known than of a new one.
      const ends = now - since < usual ? since + usual - now : usual
      if (tenant.busy()) return ends
      const goes =
        peer === request.peer ||
        isAboveShare(peer, 'bytes', held, callers, limits, request) ||
        isAboveShare(peer, 'sessions', held, callers, limits, request)
      return Math.min(ends, tenant.heardAt + (goes ? limits.minIdleMs : limits.idleTimeoutMs) - now)
    }
    const ends = [...leases]
      .filter((lease) => scope === 'all' || lease.peer === request.peer)
      .map((lease) => ({ lease, ms: endMs(lease) }))
      .toSorted((a, b) => a.ms - b.ms)
    for (const { lease, ms } of ends) {
      held.add(lease, -1)
      const [sessions, bytes] =
        scope === 'own'
          ? [limits.maxSessionsPerPeer, limits.maxKvBytesPerPeer]
          : [limits.maxSessions, limits.maxKvBytes]
      const holding = scope === 'own' ? held.of(request.peer) : held.all
      if (holding.sessions < sessions && holding.bytes + request.bytes <= bytes) {
        return Math.min(limits.idleTimeoutMs, Math.max(leastRetryMs, ms))
      }
    }
    return limits.idleTimeoutMs
  }

  const evict = (lease: Lease): void => {
    leases.delete(lease)
    let go = (): void => undefined
    const gone = new Promise<void>((resolve) => (go = resolve))
    leaving.set(lease, { gone, go })
    const idleMs = Math.round(clock.monotonic() - lease.tenant.heardAt)
    lease.tenant.ended.abort(
      shardError(
        'ERR_SHARD_SESSION_EXPIRED',
        `The session is closed: nothing was heard for ${idleMs} ms and its room was needed`
      )
    )
  }

  return {
    get sessions() {
      return leases.size
    },
    get kvBytes() {
      return createHoldings(leases).all.bytes
    },
    get freeKvBytes() {
      const held = createHoldings(leases)
      const callers = held.callers + 1
      const now = clock.monotonic()
      const nobody = { peer: '', bytes: 0 }
      for (const lease of leases) {
        if (!isIdle(lease, limits, now)) continue
        const { peer } = lease
        const goes = (['sessions', 'bytes'] as const).some((what) =>
          isAboveShare(peer, what, held, callers, limits, nobody)
        )
        if (goes) held.add(lease, -1)
      }
      return held.all.sessions >= limits.maxSessions ? 0 : limits.maxKvBytes - held.all.bytes
    },
    reserve(peer, bytes, tenant) {
      const now = clock.monotonic()
      const most = Math.min(limits.maxKvBytes, limits.maxKvBytesPerPeer)
      if (bytes > most) {
        throw shardError(
          'ERR_SHARD_CONTEXT_EXCEEDED',
          `Cannot open the session: it takes ${bytes} bytes and the server gives a caller ${most}`
        )
      }
      const decision = decide({ peer, bytes }, [...leases], limits, now)
      if (decision.type === 'refuse') throw full({ peer, bytes }, decision, now)
      const lease: Lease = { peer, bytes, since: now, tenant }
      leases.add(lease)
      for (const victim of decision.victims) evict(victim)
      // Whoever leaves now: this session's memory may be another's that is not free yet.
      const gone = [...leaving.values()].map((one) => one.gone)
      return {
        ready: ({ signal } = {}) => settled(gone, signal),
        release() {
          leaving.get(lease)?.go()
          leaving.delete(lease)
          if (!leases.delete(lease)) return
          const lived = clock.monotonic() - lease.since
          usualMs = usualMs === 0 ? lived : usualMs + (lived - usualMs) / 8
        }
      }
    }
  }
}

/** @throws the signal's reason when it aborts first. */
async function settled(promises: readonly Promise<void>[], signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  if (promises.length === 0) return
  let abort = (): void => undefined
  const aborted = new Promise<never>((_, reject) => (abort = () => reject(signal?.reason)))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([Promise.all(promises), aborted])
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

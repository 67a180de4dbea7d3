import type { Clock, Random } from '@kwaai/interface'

/** Milliseconds a peer is left out after its first failure; doubled with each more, up to the maximum. */
const firstBackOffMs = 2_000
const maxBackOffMs = 120_000
/** Part of a back-off that chance adds, so that those who left together do not come back together. */
const jitter = 0.25
/** Milliseconds after which a probe nobody heard of again makes room for another. */
export const probeLeaseMs: number = 30_000
/** Peers remembered. */
const maxPeers = 1_024

/** The right to ask a peer, for one request. */
export interface Permit {
  /** True while it is the one probe of a peer that failed before. */
  probing(): boolean
  /** The peer works. */
  succeeded(): void
  /**
   * It does not, or not any more: it is left out, for `retryAfterMs` where it said so itself, else longer
   * with each failure in a row. Nothing changes where it is left out already.
   */
  failed(why: string, retryAfterMs?: number): void
  /** Nothing was learnt: somebody else may try. */
  release(): void
}

/**
 * A circuit breaker for each peer (M. Nygard, "Release It!"): closed while it works; open, and left out, for
 * a while after a failure; then half-open: exactly one request may try it, and the others see it as taken
 * until that one has succeeded (closed) or failed (open, for longer).
 */
export interface Breaker {
  state(peer: string): 'closed' | 'open' | 'half-open'
  /** Why a peer may not be asked now, in one plain sentence; undefined where it may. */
  reason(peer: string): string | undefined
  /** Takes a peer for one request; undefined where `reason` has something to say. */
  take(peer: string): Permit | undefined
  /** Milliseconds until the first of those left out may be tried, or this one; undefined where none is. */
  nextMs(peer?: string): number | undefined
}

interface Circuit {
  /** Failures in a row. */
  failures: number
  why: string
  /** When it may be tried, on the monotonic clock. */
  openUntil: number
  probe?: { takenAt: number }
}

/**
 * Makes a breaker for which all peers are closed. `onChange` is called when a peer is left out from now on, and when
 * a probe succeeded, failed or was given back; that a back-off is over is nothing it tells.
 */
export function createBreaker(clock: Clock, random: Random, onChange?: () => void): Breaker {
  // What is not in here is closed. The oldest comes first.
  const circuits = new Map<string, Circuit>()

  const open = (peer: string, failures: number, why: string, waitMs: number): void => {
    circuits.delete(peer)
    circuits.set(peer, { failures, why, openUntil: clock.monotonic() + Math.min(waitMs, maxBackOffMs) })
    const [oldest] = circuits.keys()
    if (circuits.size > maxPeers && oldest !== undefined) circuits.delete(oldest)
    onChange?.()
  }
  const fail = (peer: string, before: number, why: string, retryAfterMs: number | undefined): void => {
    if (retryAfterMs !== undefined) return open(peer, before, why, retryAfterMs)
    const backOffMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** before) * (1 + jitter * random.next())
    open(peer, before + 1, why, backOffMs)
  }
  const probed = ({ probe }: Circuit): boolean =>
    probe !== undefined && clock.monotonic() - probe.takenAt < probeLeaseMs

  const breaker: Breaker = {
    state(peer) {
      const circuit = circuits.get(peer)
      if (circuit === undefined) return 'closed'
      return clock.monotonic() < circuit.openUntil ? 'open' : 'half-open'
    },
    reason(peer) {
      const circuit = circuits.get(peer)
      if (circuit === undefined) return undefined
      const leftMs = circuit.openUntil - clock.monotonic()
      if (leftMs > 0) return `It is left out for ${Math.ceil(leftMs / 1000)} s more: ${circuit.why}`
      return probed(circuit) ? `Another request tries it again now: ${circuit.why}` : undefined
    },
    take(peer) {
      if (breaker.reason(peer) !== undefined) return undefined
      const circuit = circuits.get(peer)
      const probe = { takenAt: clock.monotonic() }
      if (circuit !== undefined) circuit.probe = probe
      const probing = (): boolean => circuit?.probe === probe && circuits.get(peer) === circuit
      return {
        probing,
        succeeded() {
          if (!probing()) return
          circuits.delete(peer)
          onChange?.()
        },
        failed(why, retryAfterMs) {
          if (probing()) fail(peer, circuit?.failures ?? 0, why, retryAfterMs)
          // One failure is no worse for being seen by many requests at once.
          else if (!circuits.has(peer)) fail(peer, 0, why, retryAfterMs)
        },
        release() {
          if (!probing()) return
          delete circuit?.probe
          onChange?.()
        }
      }
    },
    nextMs(peer) {
      const now = clock.monotonic()
      const some = peer === undefined ? [...circuits.values()] : [circuits.get(peer)]
      const waits = some.map((circuit) => (circuit?.openUntil ?? now) - now).filter((ms) => ms > 0)
      return waits.length === 0 ? undefined : Math.min(...waits)
    }
  }
  return breaker
}

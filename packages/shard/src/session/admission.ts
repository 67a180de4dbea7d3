import type { PeerId, Random } from '@kwaai/interface'
import { shardError } from '../errors.ts'

/** How much a server holds for others. */
export interface AdmissionLimits {
  maxSessions: number
  maxSessionsPerPeer: number
  maxKvBytes: number
  maxKvBytesPerPeer: number
}

/** Room taken by one session. */
export interface Reservation {
  release(): void
}

/** Who holds how much. */
export interface Admission {
  readonly sessions: number
  readonly kvBytes: number
  /** Room left for sessions of the own choosing, in bytes. */
  readonly freeKvBytes: number
  /** @throws A KwaaiError `ERR_SHARD_SERVER_FULL` with `details.retryAfterMs`. */
  reserve(peer: PeerId, kvBytes: number): Reservation
}

/** Counts sessions and bytes, in total and by caller. */
export function createAdmission(limits: AdmissionLimits, random: Random): Admission {
  const peers = new Map<PeerId, { sessions: number; kvBytes: number }>()
  let sessions = 0
  let kvBytes = 0

  const full = (why: string): Error =>
    shardError('ERR_SHARD_SERVER_FULL', `Cannot open the session: ${why}`, {
      // Spread, so that those turned away together do not come back together.
      details: { retryAfterMs: Math.round(1000 + 1000 * random.next()) }
    })

  return {
    get sessions() {
      return sessions
    },
    get kvBytes() {
      return kvBytes
    },
    get freeKvBytes() {
      return sessions >= limits.maxSessions ? 0 : limits.maxKvBytes - kvBytes
    },
    reserve(peer, bytes) {
      const own = peers.get(peer) ?? { sessions: 0, kvBytes: 0 }
      if (sessions + 1 > limits.maxSessions) throw full(`the server holds ${sessions} sessions already`)
      if (own.sessions + 1 > limits.maxSessionsPerPeer) {
        throw full(`the caller has ${own.sessions} sessions here already`)
      }
      if (kvBytes + bytes > limits.maxKvBytes) {
        throw full(`it needs ${bytes} bytes of cache and ${limits.maxKvBytes - kvBytes} are left`)
      }
      if (own.kvBytes + bytes > limits.maxKvBytesPerPeer) {
        throw full(
          `it needs ${bytes} bytes of cache and the caller may use ${limits.maxKvBytesPerPeer - own.kvBytes} more`
        )
      }
      sessions++
      kvBytes += bytes
      own.sessions++
      own.kvBytes += bytes
      peers.set(peer, own)
      let released = false
      return {
        release() {
          if (released) return
          released = true
          sessions--
          kvBytes -= bytes
          own.sessions--
          own.kvBytes -= bytes
          if (own.sessions === 0) peers.delete(peer)
        }
      }
    }
  }
}

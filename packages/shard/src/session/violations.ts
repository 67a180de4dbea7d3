import { didFromPeerId } from '@kwaai/identity'
import { KwaaiError, type Did, type EvidenceSink, type PeerId } from '@kwaai/interface'

/** Codes that an honest caller never earns. */
const violations: readonly string[] = [
  'ERR_SHARD_INVALID_FRAME',
  'ERR_SHARD_SESSION_FOREIGN',
  'ERR_SHARD_INVALID_VALUES',
  'ERR_SHARD_STEP_CONFLICT'
]

/** Reports a caller that broke the protocol; other errors are nobody's fault. */
export function reportViolation(peer: PeerId, error: unknown, evidence: EvidenceSink | undefined): void {
  if (evidence === undefined || !KwaaiError.is(error) || !violations.includes(error.code)) return
  const subject = didOf(peer)
  if (subject !== undefined) evidence.record({ subject, context: 'shard/session', kind: 'violation' })
}

function didOf(peer: PeerId): Did | undefined {
  try {
    return didFromPeerId(peer)
  } catch {
    // A peer id that holds no Ed25519 key names nobody accountable.
    return undefined
  }
}

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

/**
 * Reports a server that handed in what its own check should have kept back. A conflict is not its fault: it sends
 * on what the caller asked for.
 */
export function reportPusher(peer: PeerId, error: unknown, evidence: EvidenceSink | undefined): void {
  if (!KwaaiError.is(error, 'ERR_SHARD_STEP_CONFLICT')) reportViolation(peer, error, evidence)
}

function didOf(peer: PeerId): Did | undefined {
  try {
    return didFromPeerId(peer)
  } catch {
    // A peer id that holds no Ed25519 key names nobody accountable.
    return undefined
  }
}

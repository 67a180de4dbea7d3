import { equalBytes } from './bytes.ts'
import { openCheckpoint, type Checkpoint, type LogPolicy } from './checkpoint.ts'
import { ERR_AUDIT_INCONSISTENT, auditError, checked, type Checked } from './errors.ts'
import { consistencyProof, rootAt, verifyConsistency, type HashReader } from './merkle.ts'

/** Two checkpoints that a log signed and that are not of one history. Whoever has the log's key can check it. */
export interface ForkEvidence {
  /** The signed checkpoint of the smaller size, or of the same. */
  older: string
  newer: string
  /** Where the sizes differ: what the newer has as the root of the older's size, and the proof that it has. */
  prefix?: { root: Uint8Array; proof: readonly Uint8Array[] }
}

/** Where the hashes of the larger log are read from. */
export interface FindForkOptions {
  /**
   * The hashes of the log with the larger checkpoint, from the tiles it serves. Two checkpoints of one size need none.
   */
  hashes?: HashReader
}

/**
 * Looks whether two signed checkpoints of one log show a fork.
 *
 * @returns evidence, or undefined where both are of one history (or where nothing shows that they are not: the sizes
 * differ and there are no hashes to read, or these are not of the larger checkpoint).
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`, `ERR_AUDIT_WRONG_LOG` or `ERR_AUDIT_BAD_SIGNATURE` when one of them is not
 * a checkpoint that this log signed.
 */
export async function findFork(
  a: string,
  b: string,
  policy: Pick<LogPolicy, 'origin' | 'key'>,
  options: FindForkOptions = {}
): Promise<ForkEvidence | undefined> {
  const sizes = [await openOf(a, policy), await openOf(b, policy)] as const
  const [older, newer] = sizes[0].size <= sizes[1].size ? [a, b] : [b, a]
  const [small, large] = sizes[0].size <= sizes[1].size ? sizes : [sizes[1], sizes[0]]
  if (small.size === large.size) return equalBytes(small.root, large.root) ? undefined : { older, newer }
  const { hashes } = options
  if (hashes === undefined) return undefined
  const root = await rootAt(small.size, hashes)
  if (equalBytes(root, small.root)) return undefined
  const proof = await consistencyProof(small.size, large.size, hashes)
  if (!verifyConsistency(small.size, large.size, root, large.root, proof)) return undefined
  return { older, newer, prefix: { root, proof } }
}

/** Checks evidence of a fork: it is one where `ok` is true. */
export async function verifyFork(
  evidence: ForkEvidence,
  policy: Pick<LogPolicy, 'origin' | 'key'>
): Promise<Checked<{ older: Checkpoint; newer: Checkpoint }>> {
  return checked(async () => {
    const older = await openOf(evidence.older, policy)
    const newer = await openOf(evidence.newer, policy)
    const { root, proof } = evidence.prefix ?? { root: newer.root, proof: [] }
    // The log has signed `newer`, and with it that its first entries have this root: and it is not the one it signed.
    const shown =
      verifyConsistency(older.size, newer.size, root, newer.root, proof) && !equalBytes(root, older.root)
    if (!shown)
      throw auditError(
        ERR_AUDIT_INCONSISTENT,
        'Cannot see a fork: nothing shows that the two are not of one history'
      )
    return { older, newer }
  })
}

async function openOf(note: string, policy: Pick<LogPolicy, 'origin' | 'key'>): Promise<Checkpoint> {
  const { checkpoint } = await openCheckpoint(note, { origin: policy.origin, key: policy.key })
  return checkpoint
}

import { fromBase64, parseDecimal, toBase64 } from './bytes.ts'
import { openCheckpoint, type LogPolicy, type VerifiedCheckpoint } from './checkpoint.ts'
import { MAX_ENTRY_BYTES, MAX_NOTE_BYTES } from './constants.ts'
import { ERR_AUDIT_MALFORMED, ERR_AUDIT_NOT_INCLUDED, auditError, checked, type Checked } from './errors.ts'
import { hashLeaf, verifyInclusion } from './merkle.ts'
import { parseHashes } from './witness.ts'

/** That an entry stands in a log, to be checked offline. */
export interface TlogProof {
  /** The place of the entry, from 0. */
  index: number
  /** The inclusion proof, from the leaf's sibling on. */
  proof: readonly Uint8Array[]
  /** The signed checkpoint, with its cosignatures. */
  checkpoint: string
  /** Not authenticated; here the entry itself. */
  extra?: Uint8Array
}

const header = 'c2sp.org/tlog-proof@v1'
const maxProofBytes = MAX_NOTE_BYTES + 2 * MAX_ENTRY_BYTES + 4_096

/** The proof as text, a `.tlog-proof` (C2SP tlog-proof). */
export function formatTlogProof({ index, proof, checkpoint, extra }: TlogProof): string {
  const lines = [header, ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]), `index ${index}`]
  return [...lines, ...proof.map(toBase64), '', checkpoint].join('\n')
}

/**
 * Reads a proof, without verifying it.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`.
 */
export function parseTlogProof(text: string): TlogProof {
  const end = text.length > maxProofBytes ? -1 : text.indexOf('\n\n')
  const [first, ...lines] = text.slice(0, Math.max(0, end)).split('\n')
  const encoded = lines[0]?.startsWith('extra ') === true ? lines.shift()?.slice(6) : undefined
  const extra = encoded === undefined ? undefined : fromBase64(encoded)
  const place = lines.shift() ?? ''
  const index = place.startsWith('index ') ? parseDecimal(place.slice(6)) : undefined
  const proof = parseHashes(lines)
  if (
    first !== header ||
    index === undefined ||
    proof === undefined ||
    (encoded !== undefined && extra === undefined)
  )
    throw auditError(ERR_AUDIT_MALFORMED, `Cannot read the proof: it is not a ${header}`)
  return { index, proof, checkpoint: text.slice(end + 2), ...(extra !== undefined && { extra }) }
}

/**
 * Verifies that an entry stands in a log.
 *
 * @param entry the entry's bytes. Default: those the proof carries.
 */
export async function verifyTlogProof(
  text: string,
  policy: LogPolicy,
  entry?: Uint8Array
): Promise<Checked<VerifiedCheckpoint & { index: number; entry: Uint8Array }>> {
  return checked(async () => {
    const { index, proof, checkpoint: note, extra } = parseTlogProof(text)
    const bytes = entry ?? extra
    if (bytes === undefined)
      throw auditError(
        ERR_AUDIT_MALFORMED,
        'Cannot verify the proof: it does not carry its entry, and none was given'
      )
    const verified = await openCheckpoint(note, policy)
    const { size, root } = verified.checkpoint
    if (!verifyInclusion(index, size, hashLeaf(bytes), proof, root))
      throw auditError(
        ERR_AUDIT_NOT_INCLUDED,
        `Cannot verify the proof: the entry does not stand at ${index} of the log of ${size}`
      )
    return { ...verified, index, entry: bytes }
  })
}

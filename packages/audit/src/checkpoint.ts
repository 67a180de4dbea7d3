import type { Signer } from '@kwaai/interface'
import { fromBase64, parseDecimal, toBase64 } from './bytes.ts'
import { HASH_BYTES, NOTE_COSIGNATURE } from './constants.ts'
import {
  ERR_AUDIT_BAD_SIGNATURE,
  ERR_AUDIT_MALFORMED,
  ERR_AUDIT_NO_QUORUM,
  ERR_AUDIT_WRONG_LOG,
  auditError,
  checked,
  type Checked
} from './errors.ts'
import {
  formatNote,
  parseNote,
  signNote,
  verifySignatures,
  type NoteKey,
  type VerifiedSignature
} from './note.ts'

/** What a checkpoint says: the log, how many entries it has, and their root. */
export interface Checkpoint {
  /** Names the log, such as `example.com/log`. */
  origin: string
  size: number
  /** 32 bytes. */
  root: Uint8Array
  /** Lines behind the third, which mean nothing to a verifier. */
  extensions?: readonly string[]
}

/** Whom a reader believes: the log's key, and how many of which witnesses. */
export interface LogPolicy {
  origin: string
  /** The log's key, of type 1; or its keys, where it has changed them: one has to have signed. */
  key: NoteKey | readonly NoteKey[]
  /** Keys of type 4. Default: none. */
  witnesses?: readonly NoteKey[]
  /** How many of the witnesses have to have cosigned. Default: all that are named. */
  quorum?: number
}

/** A checkpoint that was verified. */
export interface VerifiedCheckpoint {
  checkpoint: Checkpoint
  /** The witnesses that cosigned, with their times. */
  witnesses: readonly VerifiedSignature[]
}

/** The text of a checkpoint (C2SP tlog-checkpoint). */
export function formatCheckpoint({ origin, size, root, extensions = [] }: Checkpoint): string {
  return [origin, size, toBase64(root), ...extensions, ''].join('\n')
}

/**
 * Reads the text of a checkpoint.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n')
  const [origin = '', decimal = '', encoded = '', ...extensions] = lines.slice(0, -1)
  const size = parseDecimal(decimal)
  const root = fromBase64(encoded)
  if (
    lines.at(-1) !== '' ||
    origin === '' ||
    size === undefined ||
    root?.length !== HASH_BYTES ||
    extensions.includes('')
  )
    throw auditError(
      ERR_AUDIT_MALFORMED,
      'Cannot read the checkpoint: it has to be an origin, a size and a root, a line each'
    )
  return { origin, size, root, ...(extensions.length > 0 && { extensions }) }
}

/**
 * Signs a checkpoint with the log's key, under the name of its origin. A log must never sign two that are not of one
 * history.
 *
 * @returns the note.
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`, `ERR_AUDIT_INVALID_INIT` or `ERR_AUDIT_BAD_SIGNATURE`, as `signNote`.
 */
export async function signCheckpoint(checkpoint: Checkpoint, signer: Signer): Promise<string> {
  const text = formatCheckpoint(checkpoint)
  parseCheckpoint(text)
  return formatNote({ text, signatures: [await signNote(text, checkpoint.origin, signer)] })
}

/** The keys of a log. */
export function keysOf({ key }: Pick<LogPolicy, 'key'>): readonly NoteKey[] {
  return Array.isArray(key) ? (key as readonly NoteKey[]) : [key as NoteKey]
}

/** Verifies a signed checkpoint against a policy: of that log, signed by it, and by enough witnesses. */
export async function verifyCheckpoint(
  note: string | Uint8Array,
  policy: LogPolicy
): Promise<Checked<VerifiedCheckpoint>> {
  return checked(() => openCheckpoint(note, policy))
}

/**
 * As {@link verifyCheckpoint}, for steps of a larger check.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`, `ERR_AUDIT_WRONG_LOG`, `ERR_AUDIT_BAD_SIGNATURE` or `ERR_AUDIT_NO_QUORUM`.
 */
export async function openCheckpoint(
  bytes: string | Uint8Array,
  policy: LogPolicy
): Promise<VerifiedCheckpoint> {
  const note = parseNote(bytes)
  const keys = keysOf(policy)
  const own = await verifySignatures(note, keys)
  if (own.length === 0)
    throw auditError(
      ERR_AUDIT_BAD_SIGNATURE,
      `Cannot verify the checkpoint: it has no signature of ${keys.map(({ name }) => name).join(' or ')}`
    )
  const checkpoint = parseCheckpoint(note.text)
  if (checkpoint.origin !== policy.origin)
    throw auditError(
      ERR_AUDIT_WRONG_LOG,
      `Cannot verify the checkpoint: it is not of the log ${policy.origin}`
    )
  // A log's own kind of key witnesses nothing.
  const named = (policy.witnesses ?? []).filter(({ type }) => type === NOTE_COSIGNATURE)
  const witnesses = await verifySignatures(note, named)
  const quorum = policy.quorum ?? policy.witnesses?.length ?? 0
  // So that a quorum that is no number asks for more than there are.
  if (!(witnesses.length >= quorum))
    throw auditError(
      ERR_AUDIT_NO_QUORUM,
      `Cannot verify the checkpoint: ${witnesses.length} of the witnesses have cosigned it, ${quorum} have to`
    )
  return { checkpoint, witnesses }
}

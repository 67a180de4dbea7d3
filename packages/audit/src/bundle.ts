import {
  canonicalizeJson,
  didFromPublicKey,
  open,
  parseJson,
  seal,
  type JsonObject,
  type JsonValue
} from '@kwaai/identity'
import { KwaaiError, type CallOptions, type Did } from '@kwaai/interface'
import { partsOf, signerOf } from './log-parts.ts'
import type { AuditLog } from './log-types.ts'
import { fromBase64, textOf, toBase64, utf8 } from './bytes.ts'
import { keysOf, openCheckpoint, parseCheckpoint, type Checkpoint, type LogPolicy } from './checkpoint.ts'
import { BUNDLE_CONTEXT, HASH_BYTES, MAX_BUNDLE_BYTES } from './constants.ts'
import {
  ERR_AUDIT_BAD_SIGNATURE,
  ERR_AUDIT_MALFORMED,
  ERR_AUDIT_NOT_FOUND,
  ERR_AUDIT_NOT_INCLUDED,
  ERR_AUDIT_WRONG_DATA,
  auditError,
  checked,
  isAuditError,
  type Checked
} from './errors.ts'
import { hashLeaf, inclusionProof, verifyInclusion } from './merkle.ts'
import { parseNote, type NoteKey } from './note.ts'
import { decodeRecord, type AuditRecord } from './record.ts'
import { commitmentOf, entryTag, tagKeyOf } from './sealing.ts'
import { parseHashes } from './witness.ts'

/** One entry about a person, in the clear. */
export interface BundleEntry {
  record: AuditRecord
  /** What the entry's commitment is made with, 32 bytes. */
  salt: Uint8Array
  data: Uint8Array
}

/** Everything a log holds about one person. */
export interface Bundle {
  subject: string
  /** Milliseconds since 1970 UTC. */
  exportedAt: number
  entries: readonly BundleEntry[]
  /** What else the caller has about the person, such as stored answers. Signed, not in the log. */
  also: JsonObject
  /** The signed checkpoint the proofs lead to. */
  checkpoint: string
}

/** Options of {@link exportSubject}. */
export interface ExportOptions extends CallOptions {
  /** What else there is about the person, as JSON. */
  also?: JsonObject
}

/** Whom a reader of a bundle believes. */
export interface VerifyBundleOptions {
  /** The log and its key. */
  policy: LogPolicy
  /** Who has to have signed the bundle. Default: the log's key, or one of its keys. */
  signer?: Did
}

/**
 * Everything a log holds about a person, in the clear, as one signed bundle that {@link verifyBundle} checks offline.
 * Whoever has the bundle sees which entries of the log are this person's.
 *
 * @throws A KwaaiError `ERR_AUDIT_NOT_FOUND` where the person has no key here, `ERR_AUDIT_MALFORMED` when it would be
 * above 64 MiB.
 */
export async function exportSubject(
  log: AuditLog,
  subject: string,
  options: ExportOptions = {}
): Promise<Uint8Array> {
  const { components, logStore } = partsOf(log)
  const { clock, keys } = components
  const signer = signerOf(log)
  const key = await keys.get(subject, options)
  if (key === undefined)
    throw auditError(ERR_AUDIT_NOT_FOUND, 'Cannot export: nothing is kept here about this subject')
  const found: BundleEntry[] = []
  let bytes = 0
  for await (const entry of log.entriesOf(subject, options)) {
    bytes += entry.data.length * 2
    if (bytes > MAX_BUNDLE_BYTES) throw tooLarge()
    found.push(entry)
  }
  const checkpoint = await log.checkpoint(options)
  const { size } = parseCheckpoint(parseNote(checkpoint).text)
  const hashes = logStore.hashes(size, options)
  const entries: JsonValue[] = []
  for (const { record, salt, data } of found) {
    const proof = await inclusionProof(record.seq, size, hashes)
    entries.push({
      record: { ...record },
      salt: toBase64(salt),
      data: toBase64(data),
      proof: proof.map(toBase64)
    })
  }
  const payload = {
    v: 1,
    subject,
    exportedAt: clock.now(),
    tagKey: toBase64(tagKeyOf(key.secret)),
    checkpoint,
    entries,
    also: options.also ?? {}
  }
  const text = utf8(canonicalizeJson(payload))
  if (text.length > MAX_BUNDLE_BYTES) throw tooLarge()
  return seal(signer, BUNDLE_CONTEXT, text, { maxBytes: MAX_BUNDLE_BYTES + 1_024 })
}

function tooLarge(): Error {
  return auditError(ERR_AUDIT_MALFORMED, `Cannot export: it would be more than ${MAX_BUNDLE_BYTES} bytes`)
}

/** Verifies a bundle: its signature, its checkpoint, and of each entry that it is the person's, in the log, and unchanged. */
export async function verifyBundle(
  bytes: Uint8Array,
  options: VerifyBundleOptions
): Promise<Checked<{ bundle: Bundle; signer: Did; checkpoint: Checkpoint }>> {
  return checked(async () => {
    const opened = await openSealed(bytes, BUNDLE_CONTEXT, MAX_BUNDLE_BYTES + 1_024, options)
    const value = opened.value as Readonly<Record<string, JsonValue | undefined>>
    const { subject, exportedAt, checkpoint: note, also } = value
    const tagKey = typeof value['tagKey'] === 'string' ? fromBase64(value['tagKey']) : undefined
    if (
      value['v'] !== 1 ||
      typeof subject !== 'string' ||
      typeof exportedAt !== 'number' ||
      typeof note !== 'string' ||
      tagKey?.length !== HASH_BYTES ||
      !isObject(also) ||
      !Array.isArray(value['entries'])
    )
      throw malformed('it lacks a part')
    const { checkpoint } = await openCheckpoint(note, options.policy)
    const entries: BundleEntry[] = []
    for (const entry of value['entries'] as readonly JsonValue[]) {
      const read = readEntry(entry)
      const { record, salt, data, proof } = read
      if (!verifyInclusion(record.seq, checkpoint.size, hashLeaf(read.bytes), proof, checkpoint.root))
        throw auditError(
          ERR_AUDIT_NOT_INCLUDED,
          `Cannot verify the bundle: entry ${record.seq} is not in the log`
        )
      if (commitmentOf(salt, data) !== record.commitment)
        throw wrongData(`the data of entry ${record.seq} is not what the log committed to`)
      if (record.subject !== entryTag(tagKey, record.seq))
        throw wrongData(`entry ${record.seq} is about somebody else`)
      if (record.seq <= (entries.at(-1)?.record.seq ?? -1))
        throw malformed('its entries are not in their order')
      entries.push({ record, salt, data })
    }
    return {
      bundle: { subject, exportedAt, entries, also, checkpoint: note },
      signer: opened.signer,
      checkpoint
    }
  })
}

function readEntry(entry: JsonValue): BundleEntry & { bytes: Uint8Array; proof: Uint8Array[] } {
  if (isObject(entry)) {
    const { record, salt, data, proof } = entry
    const bytes = isObject(record) ? utf8(canonicalizeJson(record)) : undefined
    const saltBytes = typeof salt === 'string' ? fromBase64(salt) : undefined
    const dataBytes = typeof data === 'string' ? fromBase64(data) : undefined
    const hashes =
      Array.isArray(proof) && proof.every((one) => typeof one === 'string') ? parseHashes(proof) : undefined
    if (
      bytes !== undefined &&
      saltBytes?.length === HASH_BYTES &&
      dataBytes !== undefined &&
      hashes !== undefined
    )
      return { record: decodeRecord(bytes), bytes, salt: saltBytes, data: dataBytes, proof: hashes }
  }
  throw malformed('an entry of it lacks a part')
}

/** The JSON that an envelope of this package holds. */
export async function openSealed(
  bytes: Uint8Array,
  context: string,
  maxBytes: number,
  { policy, signer }: { policy: LogPolicy; signer?: Did }
): Promise<{ value: JsonObject; signer: Did }> {
  try {
    const opened = await open(bytes, { context, maxBytes })
    // A part of what it says is not in the log, so that nobody else's word counts.
    const signers = signer === undefined ? keysOf(policy).map(didOfKey) : [signer]
    if (!signers.includes(opened.signer))
      throw auditError(
        ERR_AUDIT_BAD_SIGNATURE,
        `Cannot verify it: ${opened.signer} signed it, and not ${signers.join(' or ')}`
      )
    const value = parseJson(textOf(opened.payload) ?? '', { maxLength: maxBytes })
    if (!isObject(value)) throw malformed('it is no object')
    return { value, signer: opened.signer }
  } catch (error) {
    if (!KwaaiError.is(error) || isAuditError(error)) throw error
    if (error.code === 'ERR_IDENTITY_BAD_SIGNATURE')
      throw auditError(ERR_AUDIT_BAD_SIGNATURE, 'Cannot verify it: its signature does not hold')
    throw malformed(error.message)
  }
}

function didOfKey({ publicKey }: NoteKey): Did {
  return didFromPublicKey(publicKey)
}

/** True for an object of JSON. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(why: string): Error {
  return auditError(ERR_AUDIT_MALFORMED, `Cannot read it: ${why}`)
}

function wrongData(why: string): Error {
  return auditError(ERR_AUDIT_WRONG_DATA, `Cannot verify the bundle: ${why}`)
}

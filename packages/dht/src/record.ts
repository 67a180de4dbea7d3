import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { open, seal } from '@kwaai/identity'
import type { Did, RecordInit, Signer, StoredRecord } from '@kwaai/interface'
import { sha256 } from '@noble/hashes/sha2.js'
import { compareBytes, toHex } from './bytes.ts'
import {
  MAX_CLOCK_SKEW_MS,
  MAX_ENVELOPE_BYTES,
  MAX_NAME_BYTES,
  MAX_TTL_MS,
  MAX_VALUE_BYTES,
  RECORD_CONTEXT,
  VERIFIED_CACHE_BYTES
} from './constants.ts'
import { ERR_DHT_INVALID_MESSAGE, ERR_DHT_INVALID_RECORD, dhtError } from './errors.ts'
import { RecordSchema } from './gen/dht_pb.ts'

/** A record whose signature has been verified, with the bytes that prove it. */
export interface SignedRecord extends StoredRecord {
  /** True when the writer took the value back. */
  readonly withdrawn: boolean
  /** The signed envelope as it was received. */
  readonly envelope: Uint8Array
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A slot of a key: one signer's record of one subkey. Slots sort by signer, then subkey. */
export function slotOf(record: { signer: Did; subkey: string }): string {
  return `${record.signer}/${record.subkey}`
}

/**
 * Positive when `a` takes the place of `b` in their slot: the higher sequence; of equal ones the greater bytes, a
 * rule as good as any that all peers share.
 */
export function compareVersions(a: SignedRecord, b: SignedRecord): number {
  return a.sequence - b.sequence || compareBytes(a.envelope, b.envelope)
}

function nameFault(name: string, what: string, least: number): string | undefined {
  const bytes = encoder.encode(name)
  if (bytes.length < least || bytes.length > MAX_NAME_BYTES) {
    return `its ${what} has ${bytes.length} bytes, ${least} to ${MAX_NAME_BYTES} are allowed`
  }
  // Two texts with lone surrogates would be one and the same in UTF-8.
  return decoder.decode(bytes) === name ? undefined : `its ${what} is not well-formed Unicode`
}

/** Why a key is none, or `undefined`. */
export function keyFault(key: string): string | undefined {
  return nameFault(key, 'key', 1)
}

/**
 * Checks what a caller wants to write.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_RECORD` when it is outside the limits.
 */
export function checkRecord(record: RecordInit & { ttlMs: number }): void {
  const { key, subkey = '', value, ttlMs } = record
  const fault =
    keyFault(key) ??
    nameFault(subkey, 'subkey', 0) ??
    (value.length > MAX_VALUE_BYTES
      ? `its value has ${value.length} bytes, ${MAX_VALUE_BYTES} are allowed`
      : undefined) ??
    (Number.isFinite(ttlMs) && ttlMs > 0 && ttlMs <= MAX_TTL_MS
      ? undefined
      : `it would live ${ttlMs} ms, 1 to ${MAX_TTL_MS} are allowed`)
  if (fault !== undefined) throw dhtError(ERR_DHT_INVALID_RECORD, `Cannot put the record: ${fault}`)
}

/** Signs a record. The caller has checked it. */
export async function signRecord(
  signer: Signer,
  record: Pick<SignedRecord, 'key' | 'subkey' | 'value' | 'sequence' | 'expiresAt' | 'withdrawn'>
): Promise<SignedRecord> {
  const payload = toBinary(
    RecordSchema,
    create(RecordSchema, {
      key: record.key,
      subkey: record.subkey,
      value: record.value,
      sequence: BigInt(record.sequence),
      expiresAtMs: BigInt(record.expiresAt),
      withdrawn: record.withdrawn
    })
  )
  const envelope = await seal(signer, RECORD_CONTEXT, payload, { maxBytes: MAX_ENVELOPE_BYTES })
  return { ...record, value: record.value.slice(), signer: signer.did, envelope }
}

/**
 * Reads and verifies a record.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_MESSAGE` when it is no record or its signature does not hold.
 */
export async function openRecord(envelope: Uint8Array): Promise<SignedRecord> {
  try {
    // A copy: the bytes are verified now and handed on later.
    const bytes = envelope.slice()
    const { payload, signer } = await open(bytes, { context: RECORD_CONTEXT, maxBytes: MAX_ENVELOPE_BYTES })
    const { key, subkey, value, sequence, expiresAtMs, withdrawn } = fromBinary(RecordSchema, payload)
    const fault =
      keyFault(key) ??
      nameFault(subkey, 'subkey', 0) ??
      (value.length > MAX_VALUE_BYTES ? 'its value is too large' : undefined) ??
      (sequence > Number.MAX_SAFE_INTEGER ? 'its sequence is too large' : undefined) ??
      (expiresAtMs > Number.MAX_SAFE_INTEGER ? 'its expiry is too large' : undefined)
    if (fault !== undefined) throw dhtError(ERR_DHT_INVALID_MESSAGE, `Cannot read the record: ${fault}`)
    return {
      key,
      subkey,
      signer,
      value: value.slice(),
      sequence: Number(sequence),
      expiresAt: Number(expiresAtMs),
      withdrawn,
      envelope: bytes
    }
  } catch (cause) {
    throw dhtError(ERR_DHT_INVALID_MESSAGE, 'Cannot take the record: it is not a signed record', cause)
  }
}

/** Whether a record may be held or handed out at a time: it has not expired, and does not claim to live too long. */
export function isTimely(record: StoredRecord, now: number): boolean {
  return record.expiresAt > now && record.expiresAt <= now + MAX_TTL_MS + MAX_CLOCK_SKEW_MS
}

/**
 * {@link openRecord} with a memory: k holders hand out the same envelope, and the same record is put again and
 * again, so each is verified once. Bounded in bytes; the oldest go first.
 */
export function createRecordOpener(): (envelope: Uint8Array) => Promise<SignedRecord> {
  const known = new Map<string, SignedRecord>()
  let bytes = 0
  return async (envelope) => {
    if (envelope.length > MAX_ENVELOPE_BYTES) return openRecord(envelope)
    const digest = toHex(sha256(envelope))
    const found = known.get(digest)
    if (found !== undefined) return found
    const record = await openRecord(envelope)
    if (!known.has(digest)) bytes += record.envelope.length
    known.set(digest, record)
    for (const [
      oldest,
      {
        envelope: { length }
      }
    ] of known) {
      if (bytes <= VERIFIED_CACHE_BYTES) break
      known.delete(oldest)
      bytes -= length
    }
    return record
  }
}

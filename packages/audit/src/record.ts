import { canonicalizeJson, parseJson } from '@kwaai/identity'
import { KwaaiError } from '@kwaai/interface'
import { textOf, utf8 } from './bytes.ts'
import { ERR_AUDIT_MALFORMED, auditError } from './errors.ts'

/**
 * One entry of the log as it is hashed: canonical JSON (RFC 8785). Nothing in it tells who it is about or what was said
 * to anybody without that person's key.
 */
export interface AuditRecord {
  v: 1
  /** Its place in the log, from 0. */
  seq: number
  /** Milliseconds since 1970 UTC, by the clock of whoever keeps the log. */
  at: number
  /** What happened, such as `api-key/created`. */
  kind: string
  /** 32 hexadecimal digits made of the person's key and `seq`; absent where it is about nobody. */
  subject?: string
  /** HMAC-SHA256 of the data under a random salt of 32 bytes, in hexadecimal. */
  commitment: string
}

const kindForm = /^[a-z0-9][a-z0-9._-]{0,62}(?:\/[a-z0-9][a-z0-9._-]{0,62}){0,3}$/
const maxRecordBytes = 1_024

/** Whether a text can name what happened: lower-case segments, such as `grant/made`. */
export function isKind(text: string): boolean {
  return kindForm.test(text)
}

/** The bytes of a record: what the log hashes. */
export function encodeRecord(record: AuditRecord): Uint8Array {
  return utf8(canonicalizeJson(record))
}

/**
 * Reads a record.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED` for all that {@link encodeRecord} does not write.
 */
export function decodeRecord(bytes: Uint8Array): AuditRecord {
  const text = bytes.length > maxRecordBytes ? undefined : textOf(bytes)
  const value = text === undefined ? undefined : parsed(text)
  const { v, seq, at, kind, subject, commitment, ...rest } = value ?? {}
  if (
    v === 1 &&
    isWhole(seq) &&
    isWhole(at) &&
    typeof kind === 'string' &&
    isKind(kind) &&
    (subject === undefined || isHex(subject, 32)) &&
    isHex(commitment, 64) &&
    Object.keys(rest).length === 0
  ) {
    const record: AuditRecord = { v, seq, at, kind, commitment, ...(subject !== undefined && { subject }) }
    if (canonicalizeJson(record) === text) return record
  }
  throw auditError(ERR_AUDIT_MALFORMED, 'Cannot read the entry: it is not a canonical record of this log')
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = parseJson(text, { maxDepth: 2 })
    return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch (error) {
    if (KwaaiError.is(error)) return undefined
    throw error
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isHex(value: unknown, length: number): value is string {
  return typeof value === 'string' && value.length === length && /^[0-9a-f]*$/.test(value)
}

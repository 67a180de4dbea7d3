import { KwaaiError } from '@kwaai/interface'

/** An option is out of its range. */
export const ERR_AUDIT_INVALID_INIT = 'ERR_AUDIT_INVALID_INIT'
/** An entry is not one: its kind, its subject or the size of its data. */
export const ERR_AUDIT_INVALID_ENTRY = 'ERR_AUDIT_INVALID_ENTRY'
/** There is no such entry, subject or proof. */
export const ERR_AUDIT_NOT_FOUND = 'ERR_AUDIT_NOT_FOUND'
/** What the store holds is not the log that was signed. */
export const ERR_AUDIT_LOG_DAMAGED = 'ERR_AUDIT_LOG_DAMAGED'
/** Bytes or a text are not in the one format, or are too large. */
export const ERR_AUDIT_MALFORMED = 'ERR_AUDIT_MALFORMED'
/** A signature by a known key does not hold, or there is none. */
export const ERR_AUDIT_BAD_SIGNATURE = 'ERR_AUDIT_BAD_SIGNATURE'
/** It is of another log than asked for. */
export const ERR_AUDIT_WRONG_LOG = 'ERR_AUDIT_WRONG_LOG'
/** Fewer witnesses than asked for have cosigned. */
export const ERR_AUDIT_NO_QUORUM = 'ERR_AUDIT_NO_QUORUM'
/** A proof that an entry stands in the log does not hold. */
export const ERR_AUDIT_NOT_INCLUDED = 'ERR_AUDIT_NOT_INCLUDED'
/** Two checkpoints are not of one history. */
export const ERR_AUDIT_INCONSISTENT = 'ERR_AUDIT_INCONSISTENT'
/** A witness has seen another size than the request begins with. */
export const ERR_AUDIT_STALE = 'ERR_AUDIT_STALE'
/** Data is not what its entry commits to. */
export const ERR_AUDIT_WRONG_DATA = 'ERR_AUDIT_WRONG_DATA'
/** A consent record lacks something or is out of its bounds. */
export const ERR_AUDIT_INVALID_CONSENT = 'ERR_AUDIT_INVALID_CONSENT'

/** Every code this package throws or answers. */
export type AuditErrorCode =
  | typeof ERR_AUDIT_INVALID_INIT
  | typeof ERR_AUDIT_INVALID_ENTRY
  | typeof ERR_AUDIT_NOT_FOUND
  | typeof ERR_AUDIT_LOG_DAMAGED
  | typeof ERR_AUDIT_MALFORMED
  | typeof ERR_AUDIT_BAD_SIGNATURE
  | typeof ERR_AUDIT_WRONG_LOG
  | typeof ERR_AUDIT_NO_QUORUM
  | typeof ERR_AUDIT_NOT_INCLUDED
  | typeof ERR_AUDIT_INCONSISTENT
  | typeof ERR_AUDIT_STALE
  | typeof ERR_AUDIT_WRONG_DATA
  | typeof ERR_AUDIT_INVALID_CONSENT

/** A check that did not hold. */
export interface Refused {
  ok: false
  code: AuditErrorCode
  /** For people: what could not be verified, and why. */
  message: string
}

/** What a check came to: with what it found, or with the code of what failed. */
export type Checked<T> = ({ ok: true } & T) | Refused

/** An error of this package. */
export function auditError(
  code: AuditErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {}
): KwaaiError<AuditErrorCode> {
  return new KwaaiError(code, message, { details })
}

// What all of them begin with; the shape rule takes every text of that form for a code of its own.
const prefix = ERR_AUDIT_MALFORMED.slice(0, -'MALFORMED'.length)

/** True for an error of this package. */
export function isAuditError(error: unknown): error is KwaaiError<AuditErrorCode> {
  return KwaaiError.is(error) && error.code.startsWith(prefix)
}

/** Turns a refusal that was thrown into a result: what an attacker chooses is no exception. */
export async function checked<T extends object>(work: () => T | Promise<T>): Promise<Checked<T>> {
  try {
    return { ok: true, ...(await work()) }
  } catch (error) {
    if (isAuditError(error)) return { ok: false, code: error.code, message: error.message }
    throw error
  }
}

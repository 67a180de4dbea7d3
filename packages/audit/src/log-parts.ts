import type { CallOptions, Signer } from '@kwaai/interface'
import { ERR_AUDIT_INVALID_INIT, auditError } from './errors.ts'
import type { LogStore } from './log-store.ts'
import type { AppendOptions, AuditEntry, AuditLog, AuditLogComponents } from './log-types.ts'
import type { Queue } from './queue.ts'
import type { AuditRecord } from './record.ts'

/** What belongs together for other parts of this package: the log and what it is made of. */
export interface AuditLogParts {
  components: AuditLogComponents
  logStore: LogStore
  exclusive: Queue
  /** Appends while the caller is the only one to change the log. */
  appendNow(
    entries: readonly (AuditEntry & { salt?: Uint8Array; keepData?: boolean })[],
    options?: AppendOptions
  ): Promise<AuditRecord[]>
  /** As `prove` of the log, while the caller is the only one to change it. */
  proveNow(seq: number, options?: CallOptions): Promise<string>
}

const parts = new WeakMap<AuditLog, AuditLogParts>()

/** Keeps the insides of a log. */
export function keepParts(log: AuditLog, insides: AuditLogParts): void {
  parts.set(log, insides)
}

/**
 * The insides of a log that `createAuditLog` made.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_INIT` for others.
 */
export function partsOf(log: AuditLog): AuditLogParts {
  const found = parts.get(log)
  if (found === undefined)
    throw auditError(ERR_AUDIT_INVALID_INIT, 'Cannot use the log: it was not made by createAuditLog')
  return found
}

/**
 * Who signs for a log.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_INIT` where it was opened without a signer.
 */
export function signerOf(log: AuditLog): Signer {
  const { signer } = partsOf(log).components
  if (signer !== undefined) return signer
  throw auditError(ERR_AUDIT_INVALID_INIT, 'Cannot sign for the log: it was opened without a signer')
}

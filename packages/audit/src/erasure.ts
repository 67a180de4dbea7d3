import { canonicalizeJson, seal } from '@kwaai/identity'
import type { BatchOperation, CallOptions, Did } from '@kwaai/interface'
import { partsOf, signerOf } from './log-parts.ts'
import type { AuditLog } from './log-types.ts'
import { fromBase64, toBase64, utf8 } from './bytes.ts'
import { openSealed } from './bundle.ts'
import type { Checkpoint, LogPolicy } from './checkpoint.ts'
import { ERASURE_RECEIPT_CONTEXT, HASH_BYTES } from './constants.ts'
import {
  ERR_AUDIT_MALFORMED,
  ERR_AUDIT_NOT_FOUND,
  ERR_AUDIT_WRONG_DATA,
  auditError,
  checked,
  type Checked
} from './errors.ts'
import { dataKey } from './log-store.ts'
import { decodeRecord } from './record.ts'
import { commitmentOf, entryTag, tagKeyOf } from './sealing.ts'
import { checkPerson } from './subject-keys.ts'
import { verifyTlogProof } from './tlog-proof.ts'

/** What to destroy a key does not reach. Part of every receipt. */
export const ERASURE_LIMITS: readonly string[] = [
  'Copies outside of this node: backups, snapshots, exported bundles, and what others were sent.',
  'The medium: a disk that moves blocks about (flash, journals, snapshots) may keep a key that was overwritten.',
  'What others know: that there were entries, when, of which kind and about how long; their tags lead to nobody.',
  'What belongs to others: a credential or a grant that the person gave to somebody stands, and names its giver, under the key of the one who has it.',
  'What is recorded about the person from now on, under a new key.'
]

/** What was erased. */
export interface ErasureReceipt {
  subject: string
  /** Milliseconds since 1970 UTC. */
  erasedAt: number
  /** How many entries of the log cannot be read any more. */
  entries: number
  /** The place of the entry that says so, without a name. */
  tombstone: number
  /** What it does not reach. */
  limits: readonly string[]
}

const maxReceiptBytes = 1 << 20
const kind = 'audit/erasure'

/**
 * Forgets a person: appends an entry that says that somebody was forgotten, takes away the sealed data of the person's
 * entries, and destroys the person's key. The log stays whole, so every proof holds on. Called again after a crash, or
 * where the signer failed, it does what is left.
 *
 * @returns a receipt for the person, signed; this side keeps none, as it names the person.
 * @throws A KwaaiError `ERR_AUDIT_NOT_FOUND` where the person has no key here, `ERR_AUDIT_INVALID_ENTRY` where it is none.
 */
export async function eraseSubject(
  log: AuditLog,
  subject: string,
  options: CallOptions = {}
): Promise<Uint8Array> {
  const { components, logStore, exclusive, appendNow, proveNow } = partsOf(log)
  const { clock, keys, random } = components
  const signer = signerOf(log)
  checkPerson(subject)
  const salt = random.bytes(HASH_BYTES)
  const erasedAt = clock.now()
  return exclusive(async () => {
    const key = await keys.get(subject, options)
    if (key === undefined)
      throw auditError(ERR_AUDIT_NOT_FOUND, 'Cannot erase: nothing is kept here about this subject')
    const tags = tagKeyOf(key.secret)
    const size = (await logStore.head(options))?.frontier.size ?? 0
    const operations: BatchOperation[] = []
    for await (const bytes of logStore.entries(0, size, options)) {
      const record = decodeRecord(bytes)
      if (record.subject === entryTag(tags, record.seq))
        operations.push({ type: 'delete', key: dataKey(record.seq) })
    }
    const data = statement(subject, erasedAt, operations.length)
    // First the entry: after a crash the key is still there, and the call can be made again.
    const [record] = await appendNow([{ kind, subject, data, salt, keepData: false }], {
      ...options,
      operations
    })
    const payload = {
      v: 1,
      subject,
      erasedAt,
      entries: operations.length,
      salt: toBase64(salt),
      proof: await proveNow(record?.seq ?? 0, options),
      limits: ERASURE_LIMITS
    }
    // Then the receipt: once the key is gone, nobody could ask for one again.
    const receipt = await seal(signer, ERASURE_RECEIPT_CONTEXT, utf8(canonicalizeJson(payload)))
    await keys.destroy(subject)
    return receipt
  }, options)
}

/** What the entry of an erasure commits to. */
function statement(subject: string, erasedAt: number, entries: number): Uint8Array {
  return utf8(canonicalizeJson({ subject, erasedAt, entries }))
}

/** Verifies a receipt: the signature of the log's key (or of `signer`), and that the log holds the entry that says so. */
export async function verifyErasureReceipt(
  bytes: Uint8Array,
  options: { policy: LogPolicy; signer?: Did }
): Promise<Checked<{ receipt: ErasureReceipt; signer: Did; checkpoint: Checkpoint }>> {
  return checked(async () => {
    const { value, signer } = await openSealed(bytes, ERASURE_RECEIPT_CONTEXT, maxReceiptBytes, options)
    const { v, subject, erasedAt, entries, proof, limits } = value
    const salt = typeof value['salt'] === 'string' ? fromBase64(value['salt']) : undefined
    if (
      v !== 1 ||
      typeof subject !== 'string' ||
      typeof erasedAt !== 'number' ||
      typeof entries !== 'number' ||
      typeof proof !== 'string' ||
      salt?.length !== HASH_BYTES ||
      !Array.isArray(limits)
    )
      throw auditError(ERR_AUDIT_MALFORMED, 'Cannot read the receipt: it lacks a part')
    const proved = await verifyTlogProof(proof, options.policy)
    if (!proved.ok) throw auditError(proved.code, proved.message)
    const record = decodeRecord(proved.entry)
    if (
      record.kind !== kind ||
      record.commitment !== commitmentOf(salt, statement(subject, erasedAt, entries))
    )
      throw auditError(
        ERR_AUDIT_WRONG_DATA,
        'Cannot verify the receipt: the entry it names says something else'
      )
    const texts = limits.filter((limit): limit is string => typeof limit === 'string')
    return {
      receipt: { subject, erasedAt, entries, tombstone: record.seq, limits: texts },
      signer,
      checkpoint: proved.checkpoint
    }
  })
}

/**
 * A log whose past nobody can change unnoticed, and a way to forget people all the same: a Merkle log (RFC 6962) with
 * signed checkpoints, proofs and witnesses, whose entries hold commitments alone; what they commit to is encrypted
 * under each person's key, and forgotten with it.
 *
 * ```ts
 * import { createAuditLog, createMemoryVault, eraseSubject, verifyTlogProof } from '@kwaai/audit'
 * import { createIdentity } from '@kwaai/identity'
 * import { createMemoryStore, systemClock, systemRandom } from '@kwaai/interface/memory'
 *
 * const log = createAuditLog(
 *   { origin: 'example.org/log' },
 *   {
 *     store: createMemoryStore(),
 *     signer: createIdentity(),
 *     clock: systemClock,
 *     random: systemRandom,
 *     keys: createMemoryVault()
 *   }
 * )
 * const alice = createIdentity().did
 * await log.append({ kind: 'order/placed', subject: alice, data: new TextEncoder().encode('two loaves') })
 * const proof = await log.prove(0)
 *
 * await eraseSubject(log, alice)
 * console.log((await verifyTlogProof(proof, await log.policy())).ok) // true
 * ```
 *
 * @packageDocumentation
 */
export { createAuditLog } from './audit-log.ts'
export type {
  AppendOptions,
  AuditEntry,
  AuditLog,
  AuditLogComponents,
  AuditLogInit,
  StoredEntry
} from './log-types.ts'
export { decodeRecord, encodeRecord, type AuditRecord } from './record.ts'
export { verifyTlogProof, formatTlogProof, parseTlogProof, type TlogProof } from './tlog-proof.ts'
export { verifyFiles, type FileReader, type VerifyFilesOptions } from './verify-log.ts'
export {
  createMemoryVault,
  createStoreVault,
  decodeSubjectKey,
  encodeSubjectKey,
  newSubjectKey,
  subjectName,
  SUBJECT_KEY_BYTES,
  type SubjectKey,
  type SubjectKeyVault
} from './subject-keys.ts'
export {
  createSealedStore,
  type SealedScope,
  type SealedStore,
  type SealedStoreComponents,
  type SealedStoreInit
} from './sealed-store.ts'
export {
  exportSubject,
  verifyBundle,
  type Bundle,
  type BundleEntry,
  type ExportOptions,
  type VerifyBundleOptions
} from './bundle.ts'
export { eraseSubject, verifyErasureReceipt, ERASURE_LIMITS, type ErasureReceipt } from './erasure.ts'
export { createConsents, type Consents, type KeptConsent } from './consents.ts'
export {
  buildConsent,
  consentToJson,
  type ConsentInit,
  type ConsentPurpose,
  type ConsentRecord,
  type LawfulBasis,
  type PiiController
} from './consent-record.ts'
export {
  createResidency,
  evaluateResidency,
  type RegionClaim,
  type Residency,
  type ResidencyDecision,
  type ResidencyPolicy,
  type ResidencyReason
} from './residency.ts'
export {
  formatCheckpoint,
  parseCheckpoint,
  signCheckpoint,
  verifyCheckpoint,
  type Checkpoint,
  type LogPolicy,
  type VerifiedCheckpoint
} from './checkpoint.ts'
export {
  addCosignatures,
  createWitness,
  formatWitnessRequest,
  parseWitnessRequest,
  type Witness,
  type WitnessAnswer,
  type WitnessComponents,
  type WitnessInit,
  type WitnessRequest
} from './witness.ts'
export { findFork, verifyFork, type FindForkOptions, type ForkEvidence } from './fork.ts'
export {
  formatNote,
  formatNoteKey,
  noteKeyId,
  parseNote,
  parseNoteKey,
  signNote,
  verifySignatures,
  type Note,
  type NoteKey,
  type NoteSignature,
  type VerifiedSignature
} from './note.ts'
export {
  createTileHashReader,
  decodeEntryBundle,
  encodeEntryBundle,
  parseTilePath,
  tilePath,
  tilesOf,
  type TilePlace,
  type TileReader
} from './tiles.ts'
export {
  consistencyProof,
  emptyFrontier,
  emptyRoot,
  frontierRoot,
  growFrontier,
  hashChildren,
  hashLeaf,
  inclusionProof,
  rootAt,
  verifyConsistency,
  verifyInclusion,
  type Frontier,
  type HashReader
} from './merkle.ts'
export type { Queue } from './queue.ts'
export {
  ERR_AUDIT_BAD_SIGNATURE,
  ERR_AUDIT_INCONSISTENT,
  ERR_AUDIT_INVALID_CONSENT,
  ERR_AUDIT_INVALID_ENTRY,
  ERR_AUDIT_INVALID_INIT,
  ERR_AUDIT_LOG_DAMAGED,
  ERR_AUDIT_MALFORMED,
  ERR_AUDIT_NOT_FOUND,
  ERR_AUDIT_NOT_INCLUDED,
  ERR_AUDIT_NO_QUORUM,
  ERR_AUDIT_STALE,
  ERR_AUDIT_WRONG_DATA,
  ERR_AUDIT_WRONG_LOG,
  type AuditErrorCode,
  type Checked,
  type Refused
} from './errors.ts'
export {
  BUNDLE_CONTEXT,
  ERASURE_RECEIPT_CONTEXT,
  MAX_BUNDLE_BYTES,
  MAX_DATA_BYTES,
  MAX_NOTE_BYTES,
  TILE_WIDTH
} from './constants.ts'

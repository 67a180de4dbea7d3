import type {
  AuditSink,
  BatchOperation,
  CallOptions,
  Clock,
  Did,
  KeyValueStore,
  Random,
  Signer
} from '@kwaai/interface'
import type { LogPolicy } from './checkpoint.ts'
import type { NoteKey } from './note.ts'
import type { Queue } from './queue.ts'
import type { AuditRecord } from './record.ts'
import type { SubjectKeyVault } from './subject-keys.ts'

/** Options of `createAuditLog`. */
export interface AuditLogInit {
  /**
   * Names the log in its checkpoints, for ever; without spaces and `+`. Default: the name it has, and for a new log
   * `kwaai-audit/` and 32 random digits. Where it is served: the address it is served at, without `https://`.
   */
  origin?: string
  /** A checkpoint is signed once so many entries wait for it. Default 64. */
  checkpointEntries?: number
  /** And with the first entry that comes so many milliseconds after the last one was signed. Default 10,000. */
  checkpointMs?: number
}

/** What a log works with. */
export interface AuditLogComponents {
  /** Where it is kept, under `audit/`. */
  store: KeyValueStore
  /** Signs the checkpoints. Without one the log is only appended to; somebody else signs. */
  signer?: Signer
  /**
   * Told why the checkpoint that was due could not be signed or kept. The entries stand: the next append tries again, as
   * do `checkpoint` and the end of the log, which reject where it fails.
   */
  onUnsigned?: (error: unknown) => void
  clock: Clock
  /** Makes salts and nonces, so it has to be unpredictable. */
  random: Random
  /** The keys of the persons that entries are about. */
  keys: SubjectKeyVault
  /**
   * Runs one change of the log at a time. Several processes that share a store have to share a lock here. Default: one
   * at a time in this process.
   */
  exclusive?: Queue
}

/** Something that happened. */
export interface AuditEntry {
  /** What happened, in lower-case segments, such as `api-key/created`. Everybody who sees the log sees it. */
  kind: string
  /** Whom it is about: a DID, or the name of an account. */
  subject?: Did
  /** What there is to know of it, up to 64 KiB. Only who has the person's key reads it. */
  data: Uint8Array
}

/** An entry, with its data where it can still be read. */
export interface StoredEntry {
  record: AuditRecord
  /** Absent where the person's key is destroyed, or another's than asked for. */
  data?: Uint8Array
  salt?: Uint8Array
}

/** Writes that happen together with entries. */
export interface AppendOptions extends CallOptions {
  /** Further writes to the log's store, all with the entries or none. */
  operations?: readonly BatchOperation[]
}

/** A log whose past cannot be changed unnoticed. */
export interface AuditLog extends AuditSink, AsyncDisposable {
  /** Appends one entry. It is kept when this resolves, and not when this rejects, as far as the store keeps that too. */
  append(entry: AuditEntry, options?: CallOptions): Promise<void>
  /**
   * Appends entries, all or none. @returns their records.
   * @throws A KwaaiError `ERR_AUDIT_INVALID_ENTRY` when there are none or more than 256, or one is out of its bounds.
   */
  appendAll(entries: readonly AuditEntry[], options?: AppendOptions): Promise<AuditRecord[]>
  /** How many entries there are. */
  size(options?: CallOptions): Promise<number>
  /** The log's name and the key its checkpoints are signed with. */
  policy(options?: CallOptions): Promise<LogPolicy & { key: NoteKey }>
  /**
   * The signed checkpoint over all entries.
   * @throws A KwaaiError `ERR_AUDIT_LOG_DAMAGED` when what is kept does not follow from what was signed before.
   */
  checkpoint(options?: CallOptions): Promise<string>
  /**
   * An entry; its data where it is about this subject, or about nobody.
   * @throws A KwaaiError `ERR_AUDIT_NOT_FOUND`.
   */
  entry(seq: number, options?: CallOptions & { subject?: string }): Promise<StoredEntry>
  /** The entries about a subject, with their data, in their order; those about nobody where no subject is given. */
  entriesOf(subject?: string, options?: CallOptions): AsyncIterable<Required<StoredEntry>>
  /**
   * A `.tlog-proof` that the entry stands in the log, with the entry as its extra data.
   * @throws A KwaaiError `ERR_AUDIT_NOT_FOUND`.
   */
  prove(seq: number, options?: CallOptions): Promise<string>
  /**
   * The proof that the log begins with its first `from` entries, and the checkpoint it leads to.
   * @throws A KwaaiError `ERR_AUDIT_NOT_FOUND` when the log has never had so many.
   */
  proveConsistency(from: number, options?: CallOptions): Promise<{ proof: Uint8Array[]; checkpoint: string }>
  /** One of those files, of the log as it is signed; undefined where it has no such file. */
  file(path: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /** The files of the log, as any web host can serve them (C2SP tlog-tiles): tiles, entry bundles, `checkpoint` last. */
  files(options?: CallOptions): AsyncIterable<{ path: string; bytes: Uint8Array }>
}

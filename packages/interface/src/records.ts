import type { CallOptions, Did, Startable } from './common.ts'

/** A signed, expiring value. One writer owns one slot: (key, subkey, signer). */
export interface StoredRecord {
  readonly key: string
  readonly subkey: string
  /** Who signed it. */
  readonly signer: Did
  readonly value: Uint8Array
  /** Grows with each write of the slot; the highest wins. */
  readonly sequence: number
  /** Milliseconds since 1970 UTC, after which nobody hands it out. */
  readonly expiresAt: number
}

/** What to write. The store signs it with its own identity. */
export interface RecordInit {
  /** The name under which others look, such as `kwaai/model/<sha-256>`. 1 to 256 bytes. */
  key: string
  /** Tells several records of one signer apart under one key. 0 to 256 bytes. Default empty. */
  subkey?: string
  /** At most 16 KiB. */
  value: Uint8Array
  /** How long it lives. Default three announcements: 360,000 ms. At most 86,400,000 ms. */
  ttlMs?: number
}

/** How a write went. */
export interface PutResult {
  /** How many peers hold it now, the own node included. */
  stored: number
  sequence: number
  expiresAt: number
}

/** A record kept alive. */
export interface Announcement {
  /** Puts it again now, with a new value if one is given. */
  refresh(value?: Uint8Array, options?: CallOptions): Promise<PutResult>
  /** Stops announcing and withdraws it as far as peers can be reached. */
  stop(options?: CallOptions): Promise<void>
}

/** Signed, expiring, sub-keyed records. */
export interface RecordStore extends Startable {
  readonly specification: 'kwaai.record-store/1'
  put(record: RecordInit, options?: CallOptions): Promise<PutResult>
  /** All live records under a key, of all signers; verified. Order: signer, then subkey. */
  get(key: string, options?: CallOptions): Promise<StoredRecord[]>
  /** The records under a key, now and after each change seen, until the signal aborts or the loop is left. */
  watch(key: string, options?: CallOptions & { intervalMs?: number }): AsyncIterable<StoredRecord[]>
  /** Puts a record and puts it again every `intervalMs` (default 120,000) until stopped. */
  announce(record: RecordInit, options?: CallOptions & { intervalMs?: number }): Promise<Announcement>
}

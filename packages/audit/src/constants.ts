/** Hashes in a full tile: a subtree of height 8 (C2SP tlog-tiles). */
export const TILE_WIDTH = 256
/** Bytes of a SHA-256 hash. */
export const HASH_BYTES = 32
/** Bytes of an entry of the log at most: what a uint16 length can say (C2SP tlog-tiles). */
export const MAX_ENTRY_BYTES = 65_535
/** Hashes of a proof at most (C2SP tlog-witness). */
export const MAX_PROOF_HASHES = 63
/** Bytes of a signed note at most; 16 signatures have to fit (C2SP signed-note). */
export const MAX_NOTE_BYTES = 65_536
/** Signatures of a note at most. */
export const MAX_NOTE_SIGNATURES = 64
/** Bytes of the data of one entry at most. */
export const MAX_DATA_BYTES = 65_536
/** Bytes of a subject's name at most. */
export const MAX_SUBJECT_BYTES = 512
/** Entries of one call at most. */
export const MAX_BATCH_ENTRIES = 256
/** Bytes of a bundle at most. */
export const MAX_BUNDLE_BYTES: number = 64 * 2 ** 20
/** A checkpoint is signed once so many entries wait for it. */
export const DEFAULT_CHECKPOINT_ENTRIES = 64
/** A checkpoint is signed with the first entry after so many milliseconds. */
export const DEFAULT_CHECKPOINT_MS = 10_000
/** What the signature of an erasure receipt is for. */
export const ERASURE_RECEIPT_CONTEXT = 'kwaai/audit/erasure-receipt/1'
/** What the signature of a bundle is for. */
export const BUNDLE_CONTEXT = 'kwaai/audit/bundle/1'
/** The note signature type of Ed25519 (C2SP signed-note). */
export const NOTE_ED25519 = 0x01
/** The note signature type of a witness's timestamped cosignature (C2SP tlog-cosignature). */
export const NOTE_COSIGNATURE = 0x04

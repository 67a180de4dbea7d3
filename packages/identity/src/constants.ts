/** Multicodec `ed25519-pub` as a varint (multicodec table, 0xed): stands before the key in a did:key. */
export const ED25519_MULTICODEC: readonly [number, number] = [0xed, 0x01]

/** Multicodec `p256-pub` as a varint (multicodec table, 0x1200). */
export const P256_MULTICODEC: readonly [number, number] = [0x80, 0x24]

/** Multicodec `x25519-pub` as a varint (multicodec table, 0xec). */
export const X25519_MULTICODEC: readonly [number, number] = [0xec, 0x01]

/** Multicodec `ed25519-priv` as a varint (multicodec table, 0x1300). */
export const ED25519_SECRET_MULTICODEC: readonly [number, number] = [0x80, 0x26]

/** Bytes of an Ed25519 public key (RFC 8032, section 5.1). */
export const PUBLIC_KEY_BYTES = 32

/** Bytes of an Ed25519 seed, the private key of RFC 8032, section 5.1.5. */
export const SEED_BYTES = 32

/** Bytes of an Ed25519 signature (RFC 8032, section 5.1.6). */
export const SIGNATURE_BYTES = 64

/** Stands before what an envelope's signature covers, so that it is a signature of nothing else. */
export const ENVELOPE_DOMAIN = 'kwaai-envelope-v1'

/** Longest context of an envelope in bytes; own choice, the contexts of the house need about thirty. */
export const MAX_CONTEXT_BYTES = 128

/** Largest envelope sealed and opened when the caller sets no limit: 1 MiB, own choice. */
export const DEFAULT_MAX_ENVELOPE_BYTES: number = 1024 * 1024

/** Keys whose engine form is kept for the next verification; own choice, about 1 KB each. */
export const VERIFY_CACHE_KEYS = 1024

import type { Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { decodeBase58, encodeBase58 } from '../base.ts'
import { concatBytes } from '../bytes.ts'
import { PUBLIC_KEY_BYTES, SEED_BYTES, X25519_MULTICODEC } from '../constants.ts'
import { ERR_IDENTITY_INVALID_KEY, identityError } from '../errors.ts'
import type { Identity } from '../identity.ts'
import { checkSeed } from '../key-protobuf.ts'

/** What an encryption key is made of. */
export interface EncryptionKeyInit {
  /** The X25519 private key, 32 bytes, say of `deriveSeed(root, 'encryption')`. A new one when left out. */
  seed?: Uint8Array
}

/** What an encryption key needs. */
export interface EncryptionKeyComponents {
  /** Where a new key comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

/** An X25519 key pair, which opens what is sealed to it and signs nothing. */
export interface EncryptionKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** The public key as a Multikey, `z6LS…`. */
  readonly publicKeyMultibase: string
  /** A copy of the private key, 32 bytes. Secret: whoever has it reads everything sealed to it. */
  exportSeed(): Uint8Array
}

/**
 * Makes an encryption key, new or from a seed.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the seed has not 32 bytes.
 */
export function createEncryptionKey(
  init: EncryptionKeyInit = {},
  components: EncryptionKeyComponents = {}
): EncryptionKey {
  const seed = checkSeed(init.seed ?? (components.random ?? systemRandom).bytes(SEED_BYTES))
  const publicKey = x25519.getPublicKey(seed)
  return {
    get publicKey() {
      return publicKey.slice()
    },
    publicKeyMultibase: encryptionKeyToMultibase(publicKey),
    exportSeed: () => seed.slice()
  }
}

/**
 * An X25519 public key as a Multikey (Controlled Identifiers 1.0, section 2.2.2), `z6LS…`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when it has not 32 bytes.
 */
export function encryptionKeyToMultibase(publicKey: Uint8Array): string {
  return `z${encodeBase58(concatBytes(X25519_MULTICODEC, checkEncryptionKey(publicKey)))}`
}

/**
 * The X25519 public key, 32 bytes, in a Multikey.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when it is none.
 */
export function encryptionKeyFromMultibase(text: string): Uint8Array {
  // 'z' and base58 of 34 bytes; the bound is for the decoder, whose time grows with the square of the length.
  const bytes = text.startsWith('z') && text.length <= 64 ? decodeBase58(text.slice(1)) : undefined
  if (bytes === undefined || bytes[0] !== X25519_MULTICODEC[0] || bytes[1] !== X25519_MULTICODEC[1]) {
    throw identityError(
      ERR_IDENTITY_INVALID_KEY,
      'Cannot read the encryption key: it is not the Multikey of an X25519 key'
    )
  }
  return checkEncryptionKey(bytes.subarray(2))
}

/** A copy of a public key of the right length. Points of small order show when they are used. */
export function checkEncryptionKey(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw identityError(
      ERR_IDENTITY_INVALID_KEY,
      `Cannot use the encryption key: an X25519 key has ${PUBLIC_KEY_BYTES} bytes, not ${publicKey.length}`
    )
  }
  return concatBytes(publicKey)
}

/**
 * The X25519 form of an identity's own key (RFC 7748, section 4.1): it opens what others sealed with {@link sealToDid}.
 * Second choice: one secret then signs and decrypts, and cannot be replaced for the one without the other.
 */
export function encryptionKeyOfIdentity(identity: Pick<Identity, 'exportSeed'>): EncryptionKey {
  return createEncryptionKey({ seed: ed25519.utils.toMontgomerySecret(identity.exportSeed()) })
}

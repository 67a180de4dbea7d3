import { concatBytes, equalBytes } from './bytes.ts'
import { PUBLIC_KEY_BYTES, SEED_BYTES } from './constants.ts'
import { publicKeyOfSeed } from './ed25519.ts'
import { ERR_IDENTITY_INVALID_KEY, ERR_IDENTITY_INVALID_SEED, identityError } from './errors.ts'
import { checkPublicKey } from './public-key.ts'

// The key messages of the libp2p specification, peer-ids: field 1 the type (1 is Ed25519), field 2 the bytes.
const publicPrefix = [0x08, 0x01, 0x12, PUBLIC_KEY_BYTES]
const privatePrefix = [0x08, 0x01, 0x12, SEED_BYTES + PUBLIC_KEY_BYTES]

function without(bytes: Uint8Array, prefix: readonly number[], length: number): Uint8Array | undefined {
  if (bytes.length !== prefix.length + length) return undefined
  if (!equalBytes(bytes.subarray(0, prefix.length), Uint8Array.from(prefix))) return undefined
  return bytes.slice(prefix.length)
}

/**
 * A public key as libp2p writes it: 36 bytes.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the key is not usable.
 */
export function publicKeyToProtobuf(publicKey: Uint8Array): Uint8Array {
  return concatBytes(publicPrefix, checkPublicKey(publicKey))
}

/**
 * The raw public key, 32 bytes, of a libp2p public key.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the bytes are not the 36 of a usable Ed25519 key.
 */
export function publicKeyFromProtobuf(bytes: Uint8Array): Uint8Array {
  const key = without(bytes, publicPrefix, PUBLIC_KEY_BYTES)
  if (key === undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_KEY,
      'Cannot read the public key: it is not a libp2p Ed25519 key'
    )
  }
  return checkPublicKey(key)
}

/**
 * A private key as libp2p and KwaaiNet's `identity.key` write it: 68 bytes, seed and public key. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the seed has not 32 bytes.
 */
export function seedToProtobuf(seed: Uint8Array): Uint8Array {
  const checked = checkSeed(seed)
  return concatBytes(privatePrefix, checked, publicKeyOfSeed(checked))
}

/**
 * The seed, 32 bytes, of a libp2p private key. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the bytes are not the 68 of an Ed25519 key, or its public
 * key belongs to another seed.
 */
export function seedFromProtobuf(bytes: Uint8Array): Uint8Array {
  const pair = without(bytes, privatePrefix, SEED_BYTES + PUBLIC_KEY_BYTES)
  if (pair === undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_SEED,
      'Cannot read the private key: it is not a libp2p Ed25519 key'
    )
  }
  const seed = pair.slice(0, SEED_BYTES)
  if (!equalBytes(publicKeyOfSeed(seed), pair.subarray(SEED_BYTES))) {
    throw identityError(
      ERR_IDENTITY_INVALID_SEED,
      'Cannot read the private key: its two halves do not belong together'
    )
  }
  return seed
}

/**
 * A copy of a seed.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it has not 32 bytes.
 */
export function checkSeed(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  if (seed.length !== SEED_BYTES) {
    throw identityError(
      ERR_IDENTITY_INVALID_SEED,
      `Cannot use the seed: it has ${seed.length} bytes, an Ed25519 seed has ${SEED_BYTES}`
    )
  }
  return concatBytes(seed)
}

import { decodeBase58, encodeBase58 } from './base.ts'
import { concatBytes, equalBytes } from './bytes.ts'
import { ED25519_SECRET_MULTICODEC, PUBLIC_KEY_BYTES, SEED_BYTES } from './constants.ts'
import { publicKeyOfSeed } from './ed25519.ts'
import { ERR_IDENTITY_INVALID_KEY, ERR_IDENTITY_INVALID_SEED, identityError } from './errors.ts'
import { checkSeed } from './key-protobuf.ts'
import { decodeBase64Url, decodePublicJwk, encodeBase64Url, type PublicKey } from './multikey.ts'
import { checkPublicKey } from './public-key.ts'

/** What is needed of a libp2p private key; `PrivateKey` of `@libp2p/interface` is one. */
export interface Libp2pKey {
  /** `Ed25519`, or a kind that is refused. */
  type: string
  /** Seed and public key, 64 bytes. */
  raw: Uint8Array
  publicKey: { raw: Uint8Array }
}

/** An Ed25519 key as JWK (RFC 8037, section 2). */
export interface Ed25519Jwk {
  kty: string
  crv?: string
  /** The public key, base64url. */
  x?: string
  /** The seed, base64url. Secret. */
  d?: string
  [member: string]: unknown
}

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_SEED, `Cannot read the private key: ${why}`)
}

function checkPair(seed: Uint8Array, publicKey: Uint8Array): Uint8Array {
  if (!equalBytes(publicKeyOfSeed(seed), publicKey)) refuse('its two halves do not belong together')
  return seed
}

/**
 * The seed, 32 bytes, of a libp2p private key. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it is no Ed25519 key, or its halves do not belong together.
 */
export function seedFromLibp2p(key: Libp2pKey): Uint8Array {
  if (key.type !== 'Ed25519') refuse('it is of another kind than Ed25519')
  if (key.raw.length !== SEED_BYTES + PUBLIC_KEY_BYTES) refuse('it has not 64 bytes')
  const seed = key.raw.slice(0, SEED_BYTES)
  if (!equalBytes(key.raw.subarray(SEED_BYTES), key.publicKey.raw))
    refuse('its two halves do not belong together')
  return checkPair(seed, key.publicKey.raw)
}

/**
 * A seed as the 64 bytes of a libp2p private key, seed and public key: `privateKeyFromRaw` of `@libp2p/crypto` takes
 * them. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it has not 32 bytes.
 */
export function seedToLibp2p(seed: Uint8Array): Uint8Array {
  const checked = checkSeed(seed)
  return concatBytes(checked, publicKeyOfSeed(checked))
}

/**
 * A seed as a Multikey's `secretKeyMultibase` (Controlled Identifiers 1.0, section 2.2.2), `z3u2…`. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it has not 32 bytes.
 */
export function seedToMultibase(seed: Uint8Array): string {
  return `z${encodeBase58(concatBytes(ED25519_SECRET_MULTICODEC, checkSeed(seed)))}`
}

/**
 * The seed, 32 bytes, in a Multikey's `secretKeyMultibase`. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it is not that of an Ed25519 key.
 */
export function seedFromMultibase(text: string): Uint8Array {
  // 'z' and base58 of 34 bytes; the bound is for the decoder, whose time grows with the square of the length.
  const bytes = text.startsWith('z') && text.length <= 64 ? decodeBase58(text.slice(1)) : undefined
  if (bytes?.[0] !== ED25519_SECRET_MULTICODEC[0] || bytes[1] !== ED25519_SECRET_MULTICODEC[1]) {
    refuse('it is not the Multikey of an Ed25519 key')
  }
  return checkSeed(bytes.subarray(2))
}

/**
 * A seed as JWK, private. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it has not 32 bytes.
 */
export function seedToJwk(seed: Uint8Array): Ed25519Jwk & { x: string; d: string } {
  const checked = checkSeed(seed)
  return {
    kty: 'OKP',
    crv: 'Ed25519',
    x: encodeBase64Url(publicKeyOfSeed(checked)),
    d: encodeBase64Url(checked)
  }
}

/**
 * The seed, 32 bytes, of a private JWK. Secret.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when it is no private Ed25519 key, or its halves do not belong
 * together.
 */
export function seedFromJwk(jwk: Ed25519Jwk): Uint8Array {
  const seed = decodeBase64Url(jwk.d, SEED_BYTES)
  const publicKey = decodeBase64Url(jwk.x, PUBLIC_KEY_BYTES)
  if (jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || seed === undefined || publicKey === undefined) {
    refuse('it is not the JWK of an Ed25519 key')
  }
  return checkPair(seed, publicKey)
}

/**
 * An Ed25519 public key as JWK.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when it is not usable.
 */
export function publicKeyToJwk(publicKey: Uint8Array): Ed25519Jwk & { x: string } {
  return { kty: 'OKP', crv: 'Ed25519', x: encodeBase64Url(checkPublicKey(publicKey)) }
}

/**
 * The public key in a JWK, Ed25519 or P-256.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when there is no usable one, or the JWK holds a private key.
 */
export function publicKeyFromJwk(jwk: Readonly<Record<string, unknown>>): PublicKey {
  const key = decodePublicJwk(jwk)
  if (key === undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_KEY,
      'Cannot read the public key: it is not the public JWK of a usable Ed25519 or P-256 key'
    )
  }
  return key
}

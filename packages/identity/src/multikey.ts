import { decodeBase58, encodeBase58 } from './base.ts'
import { concatBytes, toHex } from './bytes.ts'
import { ED25519_MULTICODEC, P256_MULTICODEC, PUBLIC_KEY_BYTES } from './constants.ts'
import { ERR_IDENTITY_INVALID_KEY, identityError } from './errors.ts'
import { publicKeyFault } from './public-key.ts'

/** A public key that verifies signatures. */
export interface PublicKey {
  readonly type: 'Ed25519' | 'P-256'
  /** Ed25519: 32 bytes (RFC 8032). P-256: the compressed point, 33 bytes (SEC 1, section 2.3.3). */
  readonly bytes: Uint8Array
}

// 'z' and base58 of 35 bytes are at most 49 characters. It bounds the decoder, whose time grows with the square.
const maxMultikeyLength = 64

/** The prime of P-256's field (SP 800-186, section 3.2.1.3). */
const p256Prime = 'ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'

/** Why a key cannot be used, or `undefined` when it can. Whether its point is on the curve shows when it verifies. */
export function keyFault({ type, bytes }: PublicKey): string | undefined {
  if (type === 'Ed25519') return publicKeyFault(bytes)
  if (bytes.length !== 33) return `a compressed P-256 key has 33 bytes, not ${bytes.length}`
  if (bytes[0] !== 2 && bytes[0] !== 3) return 'it does not begin as a compressed point'
  return toHex(bytes.subarray(1)) < p256Prime ? undefined : 'its coordinate is not below the field prime'
}

/** The key in a Multikey's `publicKeyMultibase`, or `undefined` when there is no usable one. */
export function decodeMultikey(text: unknown): PublicKey | undefined {
  if (typeof text !== 'string' || !text.startsWith('z') || text.length > maxMultikeyLength) return undefined
  const bytes = decodeBase58(text.slice(1))
  if (bytes === undefined) return undefined
  const begins = (prefix: readonly [number, number]): boolean =>
    bytes[0] === prefix[0] && bytes[1] === prefix[1]
  const type = begins(ED25519_MULTICODEC) ? 'Ed25519' : begins(P256_MULTICODEC) ? 'P-256' : undefined
  if (type === undefined) return undefined
  const key: PublicKey = { type, bytes: bytes.slice(2) }
  return keyFault(key) === undefined ? key : undefined
}

/**
 * A public key as a Multikey writes it (Controlled Identifiers 1.0, section 2.2.2): `z6Mk…` for Ed25519, `zDn…` for
 * P-256.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the key is not usable.
 */
export function publicKeyToMultibase(key: PublicKey): string {
  const fault = keyFault(key)
  if (fault !== undefined) {
    throw identityError(ERR_IDENTITY_INVALID_KEY, `Cannot use the public key: ${fault}`)
  }
  return `z${encodeBase58(concatBytes(key.type === 'Ed25519' ? ED25519_MULTICODEC : P256_MULTICODEC, key.bytes))}`
}

/**
 * The public key in a Multikey's `publicKeyMultibase`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when it is not a usable Ed25519 or P-256 key.
 */
export function publicKeyFromMultibase(text: string): PublicKey {
  const key = decodeMultikey(text)
  if (key === undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_KEY,
      'Cannot read the public key: it is not the Multikey of a usable Ed25519 or P-256 key'
    )
  }
  return key
}

/** The key in a `publicKeyJwk` (RFC 8037, RFC 7518 section 6.2.1), or `undefined` when there is no usable one. */
export function decodePublicJwk(jwk: Readonly<Record<string, unknown>>): PublicKey | undefined {
  const { kty, crv } = jwk
  const x = decodeBase64Url(jwk['x'], PUBLIC_KEY_BYTES)
  // RFC 8037 and Controlled Identifiers: a public key carries no private part.
  if (x === undefined || jwk['d'] !== undefined) return undefined
  let key: PublicKey
  if (kty === 'OKP' && crv === 'Ed25519') {
    key = { type: 'Ed25519', bytes: x }
  } else if (kty === 'EC' && crv === 'P-256') {
    const y = decodeBase64Url(jwk['y'], 32)
    if (y === undefined) return undefined
    key = { type: 'P-256', bytes: concatBytes([2 + ((y[31] as number) & 1)], x) }
  } else {
    return undefined
  }
  return keyFault(key) === undefined ? key : undefined
}

/** The bytes of canonical base64url without padding, or `undefined` when it is not that or of another length. */
export function decodeBase64Url(text: unknown, length: number): Uint8Array<ArrayBuffer> | undefined {
  if (typeof text !== 'string' || text.length !== Math.ceil((length * 4) / 3)) return undefined
  if (!/^[\w-]*$/.test(text)) return undefined
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
  return bytes.length === length && encodeBase64Url(bytes) === text ? bytes : undefined
}

/** Base64url without padding (RFC 4648, section 5). */
export function encodeBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes))
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

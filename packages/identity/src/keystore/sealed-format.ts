import { sha256 } from '@noble/hashes/sha2.js'
import { base64url } from 'multiformats/bases/base64'
import { equalBytes } from '../bytes.ts'
import { ERR_IDENTITY_SECRET_DAMAGED, identityError } from '../errors.ts'
import { canonicalizeJson, parseJson, type JsonObject, type JsonValue } from '../json.ts'
import { checkArgon2Parameters, type Argon2Parameters } from './kdf.ts'
import { isKeyName, MAX_SEALED_SECRET_BYTES } from './limits.ts'

/** Bytes of the salt; RFC 9106, section 3.1, recommends 16. */
export const SALT_BYTES = 16
/** Bytes of the nonce of XChaCha20-Poly1305; long enough to be random. */
export const NONCE_BYTES = 24
/** Bytes of the value that tells a wrong passphrase from a changed text. */
export const CHECK_BYTES = 16
/** Bytes of the tag of Poly1305. */
export const TAG_BYTES = 16
const sumBytes = 16

/** Largest sealed secret that is read, in bytes. */
export const MAX_SEALED_BYTES = 49_152

/** Everything of a sealed secret but its text: in the clear, and part of what is authenticated. */
export interface SealedHeader {
  kdf: Argon2Parameters & { salt: Uint8Array }
  nonce: Uint8Array
  check: Uint8Array
  /** The name it was kept under. */
  name?: string
  /** What it is the private part of, such as a DID. */
  pub?: string
}

const version = 1
const kdfName = 'argon2id'
const aeadName = 'xchacha20poly1305'
/** Longest `pub`, in characters; own choice: DIDs of our kinds have less than 160. */
export const MAX_PUB_LENGTH = 256
/** What may stand in `pub`: ASCII that shows. */
export const pubPattern: RegExp = /^[\x21-\x7e]+$/

function damaged(why: string, cause?: unknown): Error {
  return identityError(
    ERR_IDENTITY_SECRET_DAMAGED,
    `Cannot read the sealed secret: ${why}. Restore it from a copy`,
    {},
    cause
  )
}

const encode = (bytes: Uint8Array): string => base64url.baseEncode(bytes)

function decode(value: JsonValue | undefined, what: string, least: number, most: number = least): Uint8Array {
  if (typeof value !== 'string' || value.length > Math.ceil((most * 4) / 3))
    throw damaged(`its ${what} is none`)
  let bytes: Uint8Array
  try {
    bytes = base64url.baseDecode(value)
  } catch (cause) {
    throw damaged(`its ${what} is none`, cause)
  }
  if (bytes.length < least || bytes.length > most || encode(bytes) !== value)
    throw damaged(`its ${what} is none`)
  return Uint8Array.from(bytes)
}

function headerJson({ kdf: { m, t, p, salt }, nonce, check, name, pub }: SealedHeader): JsonObject {
  return {
    v: version,
    kdf: { name: kdfName, m, t, p, salt: encode(salt) },
    aead: aeadName,
    nonce: encode(nonce),
    check: encode(check),
    ...(name === undefined ? {} : { name }),
    ...(pub === undefined ? {} : { pub })
  }
}

const utf8 = new TextEncoder()

/** What the cipher authenticates besides the text: the canonical header. */
export function associatedData(header: SealedHeader): Uint8Array {
  return utf8.encode(canonicalizeJson(headerJson(header)))
}

function sumOf(json: JsonObject): string {
  return encode(sha256(utf8.encode(canonicalizeJson(json))).subarray(0, sumBytes))
}

/** The bytes of a sealed secret: canonical JSON (RFC 8785) and a newline. */
export function encodeSealed(header: SealedHeader, ct: Uint8Array): Uint8Array {
  const json = { ...headerJson(header), ct: encode(ct) }
  return utf8.encode(`${canonicalizeJson({ ...json, sum: sumOf(json) })}\n`)
}

/**
 * Reads a sealed secret: one encoding alone, its checksum right, its parameters within bounds. Nothing is derived yet.
 *
 * @throws A KwaaiError `ERR_IDENTITY_SECRET_DAMAGED`, or `ERR_IDENTITY_KDF_REFUSED`.
 */
export function decodeSealed(bytes: Uint8Array): { header: SealedHeader; ct: Uint8Array } {
  if (bytes.length > MAX_SEALED_BYTES) throw damaged(`its ${bytes.length} bytes are more than any has`)
  let json: JsonObject
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    json = parseJson(text) as JsonObject
  } catch (cause) {
    throw damaged('it is cut off or changed', cause)
  }
  const { sum, ...rest } = json
  // The text as it was written, and nothing around it.
  if (typeof sum !== 'string' || `${canonicalizeJson(json)}\n` !== text || sum !== sumOf(rest)) {
    throw damaged('it is cut off or changed')
  }
  const { v, kdf, aead, nonce, check, name, pub, ct } = rest as { [name: string]: JsonValue | undefined }
  if (v !== version)
    throw damaged(`its version is ${JSON.stringify(v)?.slice(0, 20)}, this program knows ${version}`)
  if (aead !== aeadName || typeof kdf !== 'object' || kdf === null || Array.isArray(kdf))
    throw damaged('its way of sealing is not known')
  const { name: derivation, m, t, p, salt } = kdf as { [name: string]: JsonValue | undefined }
  if (derivation !== kdfName) throw damaged('its way of sealing is not known')
  if (name !== undefined && !(typeof name === 'string' && isKeyName(name))) throw damaged('its name is none')
  if (pub !== undefined && !(typeof pub === 'string' && pub.length <= MAX_PUB_LENGTH && pubPattern.test(pub)))
    throw damaged('its public part is none')
  const header: SealedHeader = {
    kdf: {
      ...checkArgon2Parameters({ m, t, p }),
      salt: decode(salt, 'salt', SALT_BYTES)
    },
    nonce: decode(nonce, 'nonce', NONCE_BYTES),
    check: decode(check, 'check', CHECK_BYTES),
    ...(name === undefined ? {} : { name }),
    ...(pub === undefined ? {} : { pub })
  }
  const cipherText = decode(ct, 'text', 1 + TAG_BYTES, MAX_SEALED_SECRET_BYTES + TAG_BYTES)
  // A member that is not known would be neither written back nor authenticated.
  const known = utf8.encode(canonicalizeJson(rest))
  if (!equalBytes(known, utf8.encode(canonicalizeJson({ ...headerJson(header), ct: encode(cipherText) }))))
    throw damaged('it has members that are not known')
  return { header, ct: cipherText }
}

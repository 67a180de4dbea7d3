import type { Did, Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { ed25519 } from '@noble/curves/ed25519.js'
import { isBytes } from '@noble/hashes/utils.js'
import { concatBytes } from '../bytes.ts'
import { SEED_BYTES } from '../constants.ts'
import { publicKeyFromDid } from '../did.ts'
import { checkContext } from '../envelope.ts'
import {
  ERR_IDENTITY_CANNOT_OPEN,
  ERR_IDENTITY_INVALID_DID,
  ERR_IDENTITY_INVALID_KEY,
  ERR_IDENTITY_SEALED_MALFORMED,
  ERR_IDENTITY_SEALED_TOO_LARGE,
  identityError
} from '../errors.ts'
import { shown } from '../shown.ts'
import { checkEncryptionKey, type EncryptionKey } from './encryption-key.ts'
import { createSealSuite, sealKey } from './suite.ts'
import { platformX25519 } from './x25519.ts'

/** The first byte of what is sealed; the suite belongs to it. */
export const SEAL_VERSION = 1

/** Bytes that sealing adds: the version, the ephemeral public key and the authentication tag. */
export const SEAL_OVERHEAD_BYTES: number = 1 + 32 + 16

/** Largest plaintext sealed and opened when the caller sets no limit: 16 MiB, own choice. */
export const DEFAULT_MAX_PLAINTEXT_BYTES: number = 16 * 1024 * 1024

/** What sealed bytes are for. Opened with anything else they do not open. */
export interface SealToOptions {
  /** Protocol, purpose and version, as of an envelope's context: `example/note/1`. */
  info: string
  /** Data that is not in the sealed bytes and has to be the same when they are opened. */
  aad?: Uint8Array
  /** Largest plaintext in bytes. Default 16 MiB. */
  maxBytes?: number
}

/** What sealing needs. */
export interface SealComponents {
  /** Where the ephemeral key comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

// What HPKE's info begins with, so that a key shared with another protocol opens nothing of ours.
const infoPrefix = 'kwaai/seal/1/'

/**
 * Encrypts to an X25519 public key: HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
 * ChaCha20Poly1305, a new ephemeral key each time. Sealed bytes say nothing about who sealed them: where that matters,
 * seal a signed envelope.
 *
 * @returns the version (1 byte), the ephemeral public key (32 bytes), the ciphertext with its tag (16 bytes more than
 * the plaintext).
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the key is none or of small order,
 * `ERR_IDENTITY_INVALID_CONTEXT` when the info is not lower-case segments and a version,
 * `ERR_IDENTITY_SEALED_TOO_LARGE` when the plaintext is above the limit; a TypeError for a text in the place of bytes.
 */
export async function sealTo(
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  options: SealToOptions,
  components: SealComponents = {}
): Promise<Uint8Array> {
  const recipient = checkEncryptionKey(publicKey)
  const hpkeOptions = optionsOf(options)
  checkBytes(plaintext, 'plaintext')
  checkLength(plaintext.length, options, 'seal')
  const random = components.random ?? systemRandom
  const suite = createSealSuite(await platformX25519(), () => random.bytes(SEED_BYTES))
  let sealed
  try {
    sealed = await suite.Seal(sealKey('public', recipient), plaintext, hpkeOptions)
  } catch {
    // Nothing else is left that could be wrong: the shared secret came out as zeros.
    throw identityError(ERR_IDENTITY_INVALID_KEY, 'Cannot seal: the encryption key is a point of small order')
  }
  return concatBytes([SEAL_VERSION], sealed.encapsulatedSecret, sealed.ciphertext)
}

/**
 * Decrypts what {@link sealTo} made.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CONTEXT` when the info is not lower-case segments and a version,
 * `ERR_IDENTITY_SEALED_TOO_LARGE` or `ERR_IDENTITY_SEALED_MALFORMED` when the bytes cannot be sealed ones, and
 * `ERR_IDENTITY_CANNOT_OPEN` when they do not open with this key, info and aad.
 */
export async function openSealed(
  key: EncryptionKey,
  bytes: Uint8Array,
  options: SealToOptions
): Promise<Uint8Array> {
  const hpkeOptions = optionsOf(options)
  checkLength(bytes.length - SEAL_OVERHEAD_BYTES, options, 'open')
  if (bytes.length < SEAL_OVERHEAD_BYTES || bytes[0] !== SEAL_VERSION) {
    throw identityError(
      ERR_IDENTITY_SEALED_MALFORMED,
      bytes.length < SEAL_OVERHEAD_BYTES
        ? `Cannot open the sealed bytes: ${bytes.length} are fewer than any have`
        : `Cannot open the sealed bytes: version ${bytes[0]} is unknown here`
    )
  }
  const suite = createSealSuite(await platformX25519(), () => new Uint8Array())
  const pair = {
    privateKey: sealKey('private', key.exportSeed()),
    publicKey: sealKey('public', key.publicKey)
  }
  try {
    return await suite.Open(pair, bytes.slice(1, 33), bytes.slice(33), hpkeOptions)
  } catch {
    throw identityError(
      ERR_IDENTITY_CANNOT_OPEN,
      'Cannot open the sealed bytes: they are for another key, info or aad, or were changed'
    )
  }
}

/**
 * Encrypts to the key of a did:key itself, in its X25519 form; `encryptionKeyOfIdentity` of its holder opens it. Second
 * choice, for somebody of whom nothing but a name is known: prefer {@link sealTo} with a key of their own for encryption.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` when it is not the did:key of a usable Ed25519 key, and otherwise as
 * {@link sealTo} does.
 */
export async function sealToDid(
  did: Did,
  plaintext: Uint8Array,
  options: SealToOptions,
  components: SealComponents = {}
): Promise<Uint8Array> {
  const publicKey = publicKeyFromDid(did)
  let converted: Uint8Array
  try {
    converted = ed25519.utils.toMontgomery(publicKey)
  } catch {
    throw identityError(
      ERR_IDENTITY_INVALID_DID,
      `Cannot seal: the key in "${shown(did)}" is not a point of the curve`
    )
  }
  return sealTo(converted, plaintext, options, components)
}

function optionsOf({ info, aad }: SealToOptions): { info: Uint8Array; aad: Uint8Array } {
  checkContext(info)
  if (aad !== undefined) checkBytes(aad, 'aad')
  return { info: new TextEncoder().encode(infoPrefix + info), aad: aad ?? new Uint8Array() }
}

// To a program without types a text looks like bytes, until something far below says that a key is wrong.
function checkBytes(value: Uint8Array, name: string): void {
  if (!isBytes(value)) {
    throw new TypeError(`The ${name} has to be a Uint8Array, such as new TextEncoder().encode(text)`)
  }
}

function checkLength(length: number, { maxBytes }: SealToOptions, verb: 'seal' | 'open'): void {
  const limit = maxBytes ?? DEFAULT_MAX_PLAINTEXT_BYTES
  if (length > limit) {
    throw identityError(
      ERR_IDENTITY_SEALED_TOO_LARGE,
      `Cannot ${verb}: ${length} bytes are more than the ${limit} allowed`,
      { length, limit }
    )
  }
}

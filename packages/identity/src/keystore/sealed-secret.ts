import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { concatBytes } from '../bytes.ts'
import {
  ERR_IDENTITY_INVALID_PASSPHRASE,
  ERR_IDENTITY_SECRET_DAMAGED,
  ERR_IDENTITY_SECRET_SIZE,
  ERR_IDENTITY_WRONG_PASSPHRASE,
  identityError
} from '../errors.ts'
import {
  ARGON2_MINIMUM,
  checkArgon2Parameters,
  platformArgon2id,
  type Argon2id,
  type Argon2Parameters,
  type DeriveOptions
} from './kdf.ts'
import { checkKeyName, checkSecret, MAX_SEALED_SECRET_BYTES } from './limits.ts'
import {
  associatedData,
  CHECK_BYTES,
  decodeSealed,
  encodeSealed,
  MAX_PUB_LENGTH,
  NONCE_BYTES,
  pubPattern,
  SALT_BYTES,
  type SealedHeader
} from './sealed-format.ts'

/** Longest passphrase, in bytes of UTF-8; own choice. */
export const MAX_PASSPHRASE_BYTES = 1024

/** What opens a secret. A text is brought into Unicode's form NFC first, as keyboards differ (RFC 8265). */
export type Passphrase = string | Uint8Array

/** What is sealed with a secret, and how. */
export interface SealSecretOptions extends DeriveOptions {
  /** The name it is kept under; opening can ask for it, so that two sealed secrets cannot be swapped. */
  name?: string
  /** What it is the private part of, in the clear, such as a DID: up to 256 visible ASCII characters. */
  pub?: string
  /** How costly a guess is. Default {@link ARGON2_MINIMUM}, which is the least. */
  kdf?: Argon2Parameters
}

/** What is asked of a sealed secret. */
export interface OpenSecretOptions extends DeriveOptions {
  /** The name it has to carry. */
  name?: string
}

/** What sealing and opening need. */
export interface SealComponents {
  /** Where salt and nonce come from. Default: the platform's cryptographic randomness. */
  random?: Random
  /** Default: Node.js's own where it has one, else JavaScript. */
  argon2id?: Argon2id
}

function passphraseBytes(passphrase: Passphrase): Uint8Array {
  const bytes =
    typeof passphrase === 'string'
      ? new TextEncoder().encode(passphrase.normalize('NFC'))
      : concatBytes(passphrase)
  if (bytes.length >= 1 && bytes.length <= MAX_PASSPHRASE_BYTES) return bytes
  throw identityError(
    ERR_IDENTITY_INVALID_PASSPHRASE,
    `Cannot use the passphrase: it has ${bytes.length} bytes, from 1 to ${MAX_PASSPHRASE_BYTES} are allowed`
  )
}

interface Keys {
  cipher: Uint8Array
  /** Tells that the passphrase is right, and commits the text to the one key that opens it. */
  check: Uint8Array
}

async function deriveKeys(
  passphrase: Passphrase,
  { salt, ...parameters }: SealedHeader['kdf'],
  options: DeriveOptions,
  argon2id: Argon2id
): Promise<Keys> {
  const bytes = passphraseBytes(passphrase)
  const root = await argon2id({ passphrase: bytes, salt, ...parameters, length: 32 }, options)
  bytes.fill(0)
  const part = (purpose: string, length: number): Uint8Array =>
    hkdf(sha256, root, undefined, new TextEncoder().encode(`kwaai/keystore/v1/${purpose}`), length)
  const keys = { cipher: part('cipher', 32), check: part('check', CHECK_BYTES) }
  root.fill(0)
  return keys
}

/** Without a branch on secret bytes. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] ?? 0)
  return difference === 0
}

/**
 * Seals a secret with a passphrase: Argon2id, XChaCha20-Poly1305, JSON.
 *
 * @throws A KwaaiError `ERR_IDENTITY_SECRET_SIZE`, `ERR_IDENTITY_INVALID_PASSPHRASE`,
 * `ERR_IDENTITY_INVALID_KEY_NAME`, or `ERR_IDENTITY_KDF_REFUSED`; the signal's reason.
 */
export async function sealSecret(
  passphrase: Passphrase,
  secret: Uint8Array,
  options: SealSecretOptions = {},
  components: SealComponents = {}
): Promise<Uint8Array> {
  const { random = systemRandom, argon2id = platformArgon2id } = components
  const { name, pub, kdf = ARGON2_MINIMUM, ...derive } = options
  const plain = checkSecret(secret, MAX_SEALED_SECRET_BYTES)
  if (name !== undefined) checkKeyName(name)
  if (pub !== undefined && !(pub.length <= MAX_PUB_LENGTH && pubPattern.test(pub))) {
    throw identityError(
      ERR_IDENTITY_SECRET_SIZE,
      `Cannot seal the secret: its public part is not up to ${MAX_PUB_LENGTH} visible ASCII characters`
    )
  }
  const settings = { ...checkArgon2Parameters(kdf), salt: random.bytes(SALT_BYTES) }
  const keys = await deriveKeys(passphrase, settings, derive, argon2id)
  const header: SealedHeader = {
    kdf: settings,
    nonce: random.bytes(NONCE_BYTES),
    check: keys.check,
    ...(name === undefined ? {} : { name }),
    ...(pub === undefined ? {} : { pub })
  }
  const ct = xchacha20poly1305(keys.cipher, header.nonce, associatedData(header)).encrypt(plain)
  keys.cipher.fill(0)
  plain.fill(0)
  return encodeSealed(header, ct)
}

/**
 * Opens a sealed secret. Bytes that are cut off or changed by accident are told from a wrong passphrase without
 * deriving anything. Whoever changes salt or cost and mends the checksum gets what a wrong passphrase gets: no
 * reader can tell the two; every other change is told apart.
 *
 * @throws A KwaaiError `ERR_IDENTITY_WRONG_PASSPHRASE`, `ERR_IDENTITY_SECRET_DAMAGED`,
 * `ERR_IDENTITY_INVALID_PASSPHRASE`, or `ERR_IDENTITY_KDF_REFUSED`; the signal's reason.
 */
export async function openSecret(
  passphrase: Passphrase,
  sealed: Uint8Array,
  options: OpenSecretOptions = {},
  components: Pick<SealComponents, 'argon2id'> = {}
): Promise<Uint8Array> {
  const { name, ...derive } = options
  const { header, ct } = decodeSealed(sealed)
  const keys = await deriveKeys(passphrase, header.kdf, derive, components.argon2id ?? platformArgon2id)
  if (!sameBytes(keys.check, header.check)) {
    throw identityError(
      ERR_IDENTITY_WRONG_PASSPHRASE,
      'Cannot open the secret: the passphrase is not the one it was sealed with'
    )
  }
  let secret: Uint8Array
  try {
    secret = xchacha20poly1305(keys.cipher, header.nonce, associatedData(header)).decrypt(ct)
  } catch (cause) {
    throw identityError(
      ERR_IDENTITY_SECRET_DAMAGED,
      'Cannot open the secret: the passphrase is right, but the text was changed. Restore it from a copy',
      {},
      cause
    )
  } finally {
    keys.cipher.fill(0)
  }
  if (name !== undefined && header.name !== name) {
    secret.fill(0)
    throw identityError(
      ERR_IDENTITY_SECRET_DAMAGED,
      `Cannot open the secret: it was sealed as ${JSON.stringify(header.name ?? '')}, not as ${JSON.stringify(name)}`
    )
  }
  return secret
}

/** What a sealed secret says of itself. Nothing of it is proven before {@link openSecret} has opened it. */
export interface SealedFacts {
  name?: string
  pub?: string
  kdf: Argon2Parameters
}

/**
 * Reads the header of a sealed secret, for which no passphrase is needed.
 *
 * @throws A KwaaiError `ERR_IDENTITY_SECRET_DAMAGED`, or `ERR_IDENTITY_KDF_REFUSED`.
 */
export function readSealedFacts(sealed: Uint8Array): SealedFacts {
  const {
    kdf: { m, t, p },
    name,
    pub
  } = decodeSealed(sealed).header
  return { kdf: { m, t, p }, ...(name === undefined ? {} : { name }), ...(pub === undefined ? {} : { pub }) }
}

/** Whether bytes are meant as a sealed secret: they begin as JSON. Whether they are a whole one is not asked. */
export function looksSealed(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b // {
}

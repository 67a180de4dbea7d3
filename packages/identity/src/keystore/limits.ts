import { concatBytes } from '../bytes.ts'
import { ERR_IDENTITY_INVALID_KEY_NAME, ERR_IDENTITY_SECRET_SIZE, identityError } from '../errors.ts'

/** Largest secret a plain store keeps, in bytes; own choice. */
export const MAX_STORED_SECRET_BYTES = 65_536

/** Largest secret that is sealed, in bytes: sealed, it still fits into a plain store. */
export const MAX_SEALED_SECRET_BYTES = 32_768

const maxNameLength = 64
// Lower case alone, no dots at the ends: each is a file name of its own on every system.
const namePattern = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/

/** Whether a text can name a secret. */
export function isKeyName(name: string): boolean {
  return name.length <= maxNameLength && namePattern.test(name)
}

/**
 * Holds a name to the contract `KeyStore`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY_NAME`.
 */
export function checkKeyName(name: string): string {
  if (typeof name === 'string' && isKeyName(name)) return name
  const shown = JSON.stringify(String(name).slice(0, 80))
  throw identityError(
    ERR_IDENTITY_INVALID_KEY_NAME,
    `Cannot use the name ${shown}: expected up to ${maxNameLength} lower-case letters and digits in groups that ".", "_" or "-" joins`
  )
}

/**
 * A copy of a secret that is not empty and not too large.
 *
 * @throws A KwaaiError `ERR_IDENTITY_SECRET_SIZE`.
 */
export function checkSecret(secret: Uint8Array, most: number): Uint8Array<ArrayBuffer> {
  if (secret.length >= 1 && secret.length <= most) return concatBytes(secret)
  throw identityError(
    ERR_IDENTITY_SECRET_SIZE,
    `Cannot keep the secret: it has ${secret.length} bytes, from 1 to ${most} are allowed`
  )
}

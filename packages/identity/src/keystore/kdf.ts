import { nativeArgon2id } from '#platform'
import type { CallOptions } from '@kwaai/interface'
import { ERR_IDENTITY_KDF_REFUSED, identityError } from '../errors.ts'

/** How costly a guess of a passphrase is (RFC 9106). */
export interface Argon2Parameters {
  /** Memory in KiB. */
  m: number
  /** Passes over it. */
  t: number
  /** Lanes. */
  p: number
}

/** What Argon2id is computed of. */
export interface Argon2Input extends Argon2Parameters {
  passphrase: Uint8Array
  salt: Uint8Array
  /** Bytes of the result. */
  length: number
  /** The optional inputs K and X of RFC 9106; sealed secrets use neither. */
  secret?: Uint8Array
  associatedData?: Uint8Array
}

/** Options of a derivation: it takes a while. */
export interface DeriveOptions extends CallOptions {
  /** Called with 0 to 1. Native code tells the end alone. */
  onProgress?: (part: number) => void
}

/** Argon2id (RFC 9106, version 0x13), as a component: a worker or WebAssembly may compute it. */
export type Argon2id = (input: Argon2Input, options?: DeriveOptions) => Promise<Uint8Array>

/** What secrets are sealed with unless told otherwise, and the least: OWASP's password storage cheat sheet. */
export const ARGON2_MINIMUM: Argon2Parameters = { m: 19_456, t: 2, p: 1 }

/** The most that is computed for a sealed secret: 256 MiB, own choice. About a minute in JavaScript. */
export const ARGON2_MAXIMUM: Argon2Parameters = { m: 262_144, t: 16, p: 8 }

/**
 * Holds parameters between {@link ARGON2_MINIMUM} and {@link ARGON2_MAXIMUM}, before any memory is taken.
 *
 * @throws A KwaaiError `ERR_IDENTITY_KDF_REFUSED`.
 */
export function checkArgon2Parameters(
  parameters: Readonly<Record<'m' | 't' | 'p', unknown>>
): Argon2Parameters {
  const checked = (name: 'm' | 't' | 'p'): number => {
    const value = parameters[name]
    const [least, most] = [ARGON2_MINIMUM[name], ARGON2_MAXIMUM[name]]
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
    throw identityError(
      ERR_IDENTITY_KDF_REFUSED,
      `Cannot derive a key from the passphrase: ${name} is no number from ${least} to ${most}`
    )
  }
  return { m: checked('m'), t: checked('t'), p: checked('p') }
}

/** Argon2id in JavaScript, in pieces of ten milliseconds: half a second for the least parameters. */
export const softwareArgon2id: Argon2id = async (input, options = {}) => {
  const { signal, onProgress } = options
  signal?.throwIfAborted()
  const { argon2idAsync } = await import('@noble/hashes/argon2.js')
  const { passphrase, salt, m, t, p, length, secret, associatedData } = input
  return argon2idAsync(passphrase, salt, {
    m,
    t,
    p,
    dkLen: length,
    ...(secret === undefined ? {} : { key: secret }),
    ...(associatedData === undefined ? {} : { personalization: associatedData }),
    onProgress: (part) => {
      signal?.throwIfAborted()
      onProgress?.(part)
    }
  })
}

/** Argon2id as the platform has it, else in JavaScript; the bytes are the same. */
export const platformArgon2id: Argon2id = async (input, options = {}) => {
  options.signal?.throwIfAborted()
  const native = await nativeArgon2id()
  return (native ?? softwareArgon2id)(input, options)
}

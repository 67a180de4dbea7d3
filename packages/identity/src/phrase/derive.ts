import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { SEED_BYTES } from '../constants.ts'
import { ERR_IDENTITY_INVALID_DERIVATION, identityError } from '../errors.ts'
import { createIdentity, type Identity } from '../identity.ts'
import { checkSeed } from '../key-protobuf.ts'
import { rootFromPhrase } from './phrase.ts'

/** What a derived key is for. One root gives each purpose keys that say nothing about one another. */
export type KeyPurpose = 'node' | 'controller' | 'encryption' | 'vault'

const purposes: ReadonlySet<string> = new Set([
  'node',
  'controller',
  'encryption',
  'vault'
] satisfies KeyPurpose[])

// Own choice; small enough for every language's integers.
const maxIndex = 2 ** 31 - 1

/**
 * A secret for one purpose: 32 bytes of HKDF-SHA256 (RFC 5869) of the root, without a salt, with the info
 * `kwaai/identity/v1/<purpose>/<index>`. The root is as random as a key, which is when RFC 5869, section 3.1 does
 * without a salt; the info keeps purposes apart.
 *
 * @param index - From 0: the second, third, … key of a purpose, say after a rotation.
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the root has not 32 bytes, `ERR_IDENTITY_INVALID_DERIVATION`
 * for another purpose or an index that is no whole number from 0 to 2^31 - 1.
 */
export function deriveSeed(root: Uint8Array, purpose: KeyPurpose, index: number = 0): Uint8Array {
  const secret = checkSeed(root)
  if (!purposes.has(purpose)) refuse('there is no such purpose')
  if (!Number.isInteger(index) || index < 0 || index > maxIndex)
    refuse(`the index has to be a whole number from 0 to ${maxIndex}`)
  const info = new TextEncoder().encode(`kwaai/identity/v1/${purpose}/${index}`)
  return hkdf(sha256, secret, undefined, info, SEED_BYTES)
}

/** Which key of a phrase. */
export interface PhraseIdentityOptions {
  /** `node` for a key that runs on a machine, `controller` for the person or organisation behind. Default `node`. */
  purpose?: 'node' | 'controller'
  /** From 0. Default 0. */
  index?: number
}

/**
 * The identity that a phrase stands for.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_PHRASE` as {@link rootFromPhrase} does, and
 * `ERR_IDENTITY_INVALID_DERIVATION` as {@link deriveSeed} does; keys of the other purposes sign nothing.
 */
export function identityFromPhrase(phrase: string, options: PhraseIdentityOptions = {}): Identity {
  const { purpose = 'node', index = 0 } = options
  if (purpose !== 'node' && purpose !== 'controller') refuse('keys of this purpose sign nothing')
  return createIdentity({ seed: deriveSeed(rootFromPhrase(phrase), purpose, index) })
}

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_DERIVATION, `Cannot derive the key: ${why}`)
}

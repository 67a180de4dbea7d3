import type { KeyStore } from '@kwaai/interface'
import { ERR_IDENTITY_KEY_EXISTS, identityError } from '../errors.ts'
import { checkKeyName, checkSecret, MAX_STORED_SECRET_BYTES } from './limits.ts'

/** What a store says that may not put over a secret. */
export function keyExists(name: string, cause?: unknown): Error {
  return identityError(
    ERR_IDENTITY_KEY_EXISTS,
    `Cannot keep the secret: one stands under the name ${name} already. Use another name, or say that it may be replaced`,
    {},
    cause
  )
}

/** A key store that ends with the program. */
export function createMemoryKeyStore(): KeyStore {
  const secrets = new Map<string, Uint8Array>()
  return {
    specification: 'kwaai.key-store/1',
    maxSecretBytes: MAX_STORED_SECRET_BYTES,
    async get(name, options = {}) {
      checkKeyName(name)
      options.signal?.throwIfAborted()
      return secrets.get(name)?.slice()
    },
    async put(name, secret, options = {}) {
      checkKeyName(name)
      const kept = checkSecret(secret, MAX_STORED_SECRET_BYTES)
      options.signal?.throwIfAborted()
      if (options.replace !== true && secrets.has(name)) throw keyExists(name)
      secrets.get(name)?.fill(0)
      secrets.set(name, kept)
    },
    async delete(name, options = {}) {
      checkKeyName(name)
      options.signal?.throwIfAborted()
      secrets.get(name)?.fill(0)
      secrets.delete(name)
    },
    async list(options = {}) {
      options.signal?.throwIfAborted()
      return [...secrets.keys()].toSorted()
    }
  }
}

import type { CallOptions, KeyStore } from '@kwaai/interface'
import { checkKeyName, checkSecret, MAX_SEALED_SECRET_BYTES } from './limits.ts'
import type { Argon2Parameters } from './kdf.ts'
import { keyExists } from './memory-store.ts'
import { openSecret, sealSecret, type Passphrase, type SealComponents } from './sealed-secret.ts'

/** Where a store gets the passphrase, each time it needs one: from a person, a file, a system's key ring. */
export type PassphraseSource = (
  request: { name: string; purpose: 'open' | 'seal' },
  options: CallOptions
) => Passphrase | Promise<Passphrase>

/** How an encrypted store seals. */
export interface EncryptedKeyStoreInit {
  /** How costly a guess of the passphrase is. Default `ARGON2_MINIMUM`. */
  kdf?: Argon2Parameters
  /** What is written in the clear beside a secret, such as the DID of a key. Default nothing. */
  pub?: (name: string, secret: Uint8Array) => string | undefined
}

/** What an encrypted store is made of. */
export interface EncryptedKeyStoreComponents extends SealComponents {
  /** Where the sealed secrets lie. */
  store: KeyStore
  passphrase: PassphraseSource
}

/**
 * A key store that seals what it puts into another one. Each secret is bound to its name. A secret is replaced only
 * by who can open it: with a wrong passphrase nothing is put over.
 *
 * Its calls reject with a KwaaiError as `sealSecret` and `openSecret` do, besides what the contract says.
 */
export function createEncryptedKeyStore(
  init: EncryptedKeyStoreInit,
  components: EncryptedKeyStoreComponents
): KeyStore {
  const { store, passphrase } = components
  return {
    specification: 'kwaai.key-store/1',
    maxSecretBytes: MAX_SEALED_SECRET_BYTES,
    async get(name, options = {}) {
      const sealed = await store.get(checkKeyName(name), options)
      if (sealed === undefined) return undefined
      const given = await passphrase({ name, purpose: 'open' }, options)
      return openSecret(given, sealed, { name, ...options }, components)
    },
    async put(name, secret, options = {}) {
      checkKeyName(name)
      const kept = checkSecret(secret, MAX_SEALED_SECRET_BYTES)
      const { replace = false, ...call } = options
      call.signal?.throwIfAborted()
      const standing = await store.get(name, call)
      // The store has the last word on who comes first; this only spares a derivation.
      if (standing !== undefined && !replace) throw keyExists(name)
      const given = await passphrase({ name, purpose: 'seal' }, call)
      if (standing !== undefined) {
        const old = await openSecret(given, standing, { name, ...call }, components)
        old.fill(0)
      }
      const pub = init.pub?.(name, kept)
      const sealed = await sealSecret(
        given,
        kept,
        {
          name,
          ...call,
          ...(pub === undefined ? {} : { pub }),
          ...(init.kdf === undefined ? {} : { kdf: init.kdf })
        },
        components
      )
      kept.fill(0)
      await store.put(name, sealed, { replace, ...call })
    },
    async delete(name, options = {}) {
      await store.delete(name, options)
    },
    list: (options = {}) => store.list(options)
  }
}

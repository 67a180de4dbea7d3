/**
 * Where keys are kept: in files, in a browser's IndexedDB or in memory, behind one contract (`KeyStore` of
 * `@kwaai/interface`), and sealed with a passphrase where one is given.
 *
 * ```ts
 * import { createEncryptedKeyStore, createMemoryKeyStore, keepIdentity } from '@kwaai/identity/keystore'
 *
 * // createFileKeyStore({ folder }) in Node.js, createIndexedDbKeyStore() in a browser
 * const store = createEncryptedKeyStore({}, { store: createMemoryKeyStore(), passphrase: () => 'correct horse' })
 * const alice = await keepIdentity({}, { store })
 * console.log(alice.did === (await keepIdentity({}, { store })).did) // true
 * ```
 *
 * @packageDocumentation
 */
export { keepIdentity, type KeepIdentityComponents, type KeepIdentityInit } from './kept-identity.ts'
export { createFileKeyStore, type FileKeyStoreComponents, type FileKeyStoreInit } from './file-store.ts'
export type { FileFacts, KeyFileHandle, KeyFileSystem, KeyFileUse } from './file-system.ts'
export {
  createIndexedDbKeyStore,
  type IndexedDbKeyStoreComponents,
  type IndexedDbKeyStoreInit
} from './indexed-db-store.ts'
export type {
  Db,
  DbFactory,
  DbListened,
  DbObjectStore,
  DbRequest,
  DbTransaction
} from './indexed-db-types.ts'
export { createMemoryKeyStore } from './memory-store.ts'
export {
  createEncryptedKeyStore,
  type EncryptedKeyStoreComponents,
  type EncryptedKeyStoreInit,
  type PassphraseSource
} from './encrypted-store.ts'
export {
  looksSealed,
  MAX_PASSPHRASE_BYTES,
  openSecret,
  readSealedFacts,
  sealSecret,
  type OpenSecretOptions,
  type Passphrase,
  type SealComponents,
  type SealedFacts,
  type SealSecretOptions
} from './sealed-secret.ts'
export {
  ARGON2_MAXIMUM,
  ARGON2_MINIMUM,
  platformArgon2id,
  softwareArgon2id,
  type Argon2id,
  type Argon2Input,
  type Argon2Parameters,
  type DeriveOptions
} from './kdf.ts'
export { MAX_SEALED_BYTES } from './sealed-format.ts'
export { MAX_SEALED_SECRET_BYTES, MAX_STORED_SECRET_BYTES } from './limits.ts'
export {
  ERR_IDENTITY_INVALID_KEY_NAME,
  ERR_IDENTITY_INVALID_PASSPHRASE,
  ERR_IDENTITY_KDF_REFUSED,
  ERR_IDENTITY_KEY_EXISTS,
  ERR_IDENTITY_KEYSTORE_UNUSABLE,
  ERR_IDENTITY_SECRET_DAMAGED,
  ERR_IDENTITY_SECRET_SIZE,
  ERR_IDENTITY_WRONG_PASSPHRASE
} from '../errors.ts'

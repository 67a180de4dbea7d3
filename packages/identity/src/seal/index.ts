/**
 * Encryption to a person's own key for it: HPKE over X25519, with a purpose that sealed bytes cannot leave.
 *
 * ```ts
 * import { createEncryptionKey, openSealed, sealTo } from '@kwaai/identity/seal'
 *
 * const key = createEncryptionKey()
 * const sealed = await sealTo(key.publicKey, new TextEncoder().encode('hello'), { info: 'example/note/1' })
 * const plaintext = await openSealed(key, sealed, { info: 'example/note/1' })
 * console.log(new TextDecoder().decode(plaintext)) // hello
 * ```
 *
 * @packageDocumentation
 */
export {
  createEncryptionKey,
  type EncryptionKey,
  type EncryptionKeyComponents,
  encryptionKeyFromMultibase,
  type EncryptionKeyInit,
  encryptionKeyOfIdentity,
  encryptionKeyToMultibase
} from './encryption-key.ts'
export { openSealed, type SealComponents, sealTo, sealToDid, type SealToOptions } from './seal.ts'
export { DEFAULT_MAX_PLAINTEXT_BYTES, SEAL_OVERHEAD_BYTES, SEAL_VERSION } from './seal.ts'
export {
  ERR_IDENTITY_CANNOT_OPEN,
  ERR_IDENTITY_SEALED_MALFORMED,
  ERR_IDENTITY_SEALED_TOO_LARGE
} from '../errors.ts'

import type { Ed25519Engine } from './ed25519.ts'
import { ERR_IDENTITY_KEYSTORE_UNUSABLE, identityError } from './errors.ts'
import type { KeyFileSystem } from './keystore/file-system.ts'
import type { Argon2id } from './keystore/kdf.ts'

/** Browsers have no Argon2id of their own. */
export async function nativeArgon2id(): Promise<Argon2id | undefined> {
  return undefined
}

/**
 * Browsers have no files.
 *
 * @throws A KwaaiError `ERR_IDENTITY_KEYSTORE_UNUSABLE`, always.
 */
export async function keyFileSystem(): Promise<KeyFileSystem> {
  throw identityError(
    ERR_IDENTITY_KEYSTORE_UNUSABLE,
    'Cannot keep keys in files: a browser has none. Use createIndexedDbKeyStore'
  )
}

/** Browsers have nothing quicker than WebCrypto. */
export async function quickestEngine(engine: Ed25519Engine): Promise<Ed25519Engine> {
  return engine
}

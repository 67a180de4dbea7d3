import { join } from 'node:path'
import {
  createIdentity,
  didFromPublicKey,
  publicKeyFromDid,
  seedFromProtobuf,
  seedToProtobuf,
  type Identity
} from '@kwaai/identity'
import {
  createFileKeyStore,
  looksSealed,
  openSecret,
  readSealedFacts,
  sealSecret
} from '@kwaai/identity/keystore'
import { KwaaiError, type CallOptions, type Did, type KeyStore } from '@kwaai/interface'
import { nodeError } from './errors.ts'
import { lock } from './model/file-lock.ts'

/** The keys of a data folder: the node's own, the one of who stands behind it, and one a rotation has begun with. */
export type KeyName = 'identity' | 'controller' | 'identity-next'

/** How a key that is kept with a passphrase is opened. */
export interface KeyOptions extends CallOptions {
  /** The passphrase. A key that is kept without one is encrypted with it. */
  passphrase?: string
  /** Asks a person for the passphrase of an encrypted key; `undefined` where there is nobody to ask. */
  askPassphrase?: (question: string) => Promise<string | undefined>
  /** Told in a plain sentence what changes. */
  onNote?: (text: string) => void
}

/** A key as its file has it. */
export interface StoredKey {
  bytes: Uint8Array
  encrypted: boolean
  /** As the file says; proven by opening it, or by the key itself where it is not encrypted. */
  did: Did | undefined
}

/** How often a person may try. */
const maxTries = 3

/** The keys in a data folder, as files `<name>.key`. */
export function keysOf(dataDir: string): KeyStore {
  return createFileKeyStore({ folder: dataDir })
}

/** The file of a key. */
export function keyPath(dataDir: string, name: KeyName): string {
  return join(dataDir, `${name}.key`)
}

function unreadable(path: string, why: string, cause: unknown): Error {
  return nodeError(
    'ERR_NODE_KEY_UNREADABLE',
    `Cannot read the key ${path}: ${why}. Restore it from a copy, or move it away to start under a new identity`,
    { cause }
  )
}

function identityOf(bytes: Uint8Array, path: string): Identity {
  try {
    return createIdentity({ seed: seedFromProtobuf(bytes) })
  } catch (error) {
    throw unreadable(path, 'it is damaged, or no Ed25519 key', error)
  }
}

/**
 * What stands in a key's file.
 *
 * @throws A KwaaiError `ERR_NODE_KEY_UNREADABLE` for a damaged one; what the key store says of its folder.
 */
export async function readKey(
  dataDir: string,
  name: KeyName,
  options: CallOptions = {}
): Promise<StoredKey | undefined> {
  const path = keyPath(dataDir, name)
  let bytes: Uint8Array | undefined
  try {
    bytes = await keysOf(dataDir).get(name, options)
  } catch (error) {
    if (KwaaiError.is(error, 'ERR_IDENTITY_SECRET_DAMAGED')) throw unreadable(path, 'it is empty', error)
    throw error
  }
  if (bytes === undefined) return undefined
  if (!looksSealed(bytes)) {
    // It stands for a person: whoever finds the file must not be that person.
    if (name === 'controller')
      throw unreadable(path, "it is not encrypted, as a controller's key always is", undefined)
    return { bytes, encrypted: false, did: identityOf(bytes, path).did }
  }
  try {
    const { pub } = readSealedFacts(bytes)
    return {
      bytes,
      encrypted: true,
      did: pub === undefined ? undefined : didFromPublicKey(publicKeyFromDid(pub))
    }
  } catch (error) {
    throw unreadable(path, 'it is cut off or changed', error)
  }
}

/**
 * Opens a sealed secret that a file holds. A person may try three times.
 *
 * @param name what it has to be sealed as; anything where it is left out.
 * @throws A KwaaiError `ERR_NODE_PASSPHRASE_NEEDED` where nobody gives a passphrase, `ERR_IDENTITY_WRONG_PASSPHRASE`,
 * `ERR_NODE_KEY_UNREADABLE`.
 */
export async function openSealed(
  path: string,
  bytes: Uint8Array,
  options: KeyOptions,
  name?: KeyName
): Promise<{ secret: Uint8Array; passphrase: string }> {
  const opening = {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(name === undefined ? {} : { name })
  }
  for (let tries = 1; ; tries++) {
    const passphrase = options.passphrase ?? (await options.askPassphrase?.(`Passphrase of ${path}: `))
    if (passphrase === undefined) {
      throw nodeError(
        'ERR_NODE_PASSPHRASE_NEEDED',
        `Cannot open the key ${path}: it is encrypted, and there is no terminal to ask for its passphrase. ` +
          'Give --passphrase-file, or set KWAAI_PASSPHRASE'
      )
    }
    try {
      return { secret: await openSecret(passphrase, bytes, opening), passphrase }
    } catch (error) {
      if (!KwaaiError.is(error, 'ERR_IDENTITY_WRONG_PASSPHRASE')) throw unopened(path, error)
      if (options.passphrase !== undefined || tries === maxTries) {
        throw new KwaaiError(
          error.code,
          `Cannot open the key ${path}: this is not its passphrase. Nothing was changed`,
          { cause: error }
        )
      }
      options.onNote?.('This is not its passphrase.')
    }
  }
}

/** What stands in a key's file, where one that cannot be read is another key for all we know. */
export async function standingKey(
  dataDir: string,
  name: KeyName,
  options: CallOptions = {}
): Promise<StoredKey | 'damaged' | undefined> {
  try {
    return await readKey(dataDir, name, options)
  } catch (error) {
    if (KwaaiError.is(error, 'ERR_NODE_KEY_UNREADABLE')) return 'damaged'
    throw error
  }
}

function unopened(path: string, error: unknown): unknown {
  const damaged =
    KwaaiError.is(error, 'ERR_IDENTITY_SECRET_DAMAGED') || KwaaiError.is(error, 'ERR_IDENTITY_KDF_REFUSED')
  return damaged ? unreadable(path, 'it was changed, or was sealed as another one', error) : error
}

/**
 * Opens a key that was read.
 *
 * @returns the identity, and the passphrase where it is kept with one.
 * @throws A KwaaiError as {@link openSealed} does.
 */
export async function openKey(
  dataDir: string,
  name: KeyName,
  stored: StoredKey,
  options: KeyOptions = {}
): Promise<{ identity: Identity; passphrase: string | undefined }> {
  const path = keyPath(dataDir, name)
  if (!stored.encrypted) return { identity: identityOf(stored.bytes, path), passphrase: undefined }
  const { secret, passphrase } = await openSealed(path, stored.bytes, options, name)
  const identity = identityOf(secret, path)
  secret.fill(0)
  if (stored.did !== undefined && stored.did !== identity.did)
    throw unreadable(path, 'it holds another key than it says', undefined)
  return { identity, passphrase }
}

/** The bytes of a key's file: a libp2p private key, sealed where a passphrase is given. */
export async function keyBytes(
  name: KeyName,
  identity: Identity,
  passphrase: string | undefined,
  options: CallOptions = {}
): Promise<Uint8Array> {
  const plain = seedToProtobuf(identity.exportSeed())
  if (passphrase === undefined) return plain
  const sealed = await sealSecret(passphrase, plain, { name, pub: identity.did, ...options })
  plain.fill(0)
  return sealed
}

/**
 * Puts a key in the place of itself, sealed with another passphrase or, without one, plain. It is one rename: until then
 * the old file stands, from then on the new one. What was sealed is opened first: afterwards there is no other copy.
 *
 * @param options - `beforePut` runs when all that can be refused was; where it throws nothing is changed.
 */
export async function resealKey(
  dataDir: string,
  name: KeyName,
  identity: Identity,
  passphrase: string | undefined,
  { beforePut, ...options }: CallOptions & { beforePut?: () => Promise<void> } = {}
): Promise<void> {
  const bytes = await keyBytes(name, identity, passphrase, options)
  if (passphrase !== undefined) {
    const again = await openSecret(passphrase, bytes, { name, ...options })
    if (identityOf(again, keyPath(dataDir, name)).did !== identity.did)
      throw new Error('what was sealed does not open')
    again.fill(0)
  }
  await beforePut?.()
  await keysOf(dataDir).put(name, bytes, { replace: true, ...options })
}

/** An error of the folder, with what to do about it. */
function withAdvice(dataDir: string, error: unknown): unknown {
  if (!KwaaiError.is(error, 'ERR_IDENTITY_KEYSTORE_UNUSABLE')) return error
  return nodeError('ERR_NODE_FOLDER_UNUSABLE', `${error.message}. Give another --data-dir than ${dataDir}`, {
    cause: error
  })
}

/** One at a time may read a key and put another in its place: a key that came in between would be lost. */
export async function withKeyLock<T>(
  dataDir: string,
  run: () => Promise<T>,
  options: CallOptions = {}
): Promise<T> {
  const unlock = await lock(join(dataDir, 'keys.lock'), { pollMs: 5, ...options })
  try {
    return await run()
  } finally {
    await unlock()
  }
}

/**
 * The key a node keeps: made on the first start, the same ever after. The file `identity.key` holds a libp2p private
 * key (protobuf), readable by its owner alone, or that key sealed with a passphrase where one is given. A key that
 * stands there from before is taken over.
 *
 * @throws A KwaaiError as {@link readKey} and {@link openKey} do, `ERR_NODE_FOLDER_UNUSABLE` where a new key cannot be
 * written. A key that cannot be read or opened is never overwritten.
 */
export async function loadIdentity(dataDir: string, options: KeyOptions = {}): Promise<Identity> {
  const { passphrase } = options
  const call = options.signal === undefined ? {} : { signal: options.signal }
  try {
    const stored = (await readKey(dataDir, 'identity', call)) ?? (await makeKey(dataDir, passphrase, call))
    if (stored.encrypted || passphrase === undefined) {
      return (await openKey(dataDir, 'identity', stored, options)).identity
    }
    return await withKeyLock(
      dataDir,
      async () => {
        const now = (await readKey(dataDir, 'identity', call)) ?? stored
        const { identity } = await openKey(dataDir, 'identity', now, options)
        if (now.encrypted) return identity
        await resealKey(dataDir, 'identity', identity, passphrase, call)
        options.onNote?.(
          `The key ${keyPath(dataDir, 'identity')} is encrypted from now on. Without its passphrase it is lost.`
        )
        return identity
      },
      call
    )
  } catch (error) {
    throw withAdvice(dataDir, error)
  }
}

/** Makes the first key of a folder, or takes the one that somebody else has just made. */
async function makeKey(
  dataDir: string,
  passphrase: string | undefined,
  call: CallOptions
): Promise<StoredKey> {
  const made = createIdentity()
  const bytes = await keyBytes('identity', made, passphrase, call)
  try {
    await keysOf(dataDir).put('identity', bytes, call)
  } catch (error) {
    const first = KwaaiError.is(error, 'ERR_IDENTITY_KEY_EXISTS')
      ? await readKey(dataDir, 'identity', call)
      : undefined
    if (first === undefined) throw error
    return first
  }
  return { bytes, encrypted: passphrase !== undefined, did: made.did }
}

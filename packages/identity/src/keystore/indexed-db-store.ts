import type { CallOptions, KeyStore } from '@kwaai/interface'
import { ERR_IDENTITY_KEYSTORE_UNUSABLE, identityError } from '../errors.ts'
import type { Db, DbFactory, DbObjectStore, DbRequest } from './indexed-db-types.ts'
import { checkKeyName, checkSecret, MAX_STORED_SECRET_BYTES } from './limits.ts'
import { keyExists } from './memory-store.ts'

/** Which database. */
export interface IndexedDbKeyStoreInit {
  /** Name of the database. Default `kwaai-keys`. */
  database?: string
}

/** What the store needs. */
export interface IndexedDbKeyStoreComponents {
  /** Default: the browser's. */
  indexedDB?: DbFactory
}

const place = 'secrets'

function unusable(why: string, cause?: unknown): Error {
  return identityError(ERR_IDENTITY_KEYSTORE_UNUSABLE, `Cannot use IndexedDB for keys: ${why}`, {}, cause)
}

function reason(error: Error | null): string {
  return error?.message ?? 'it says nothing more'
}

function openDb(factory: DbFactory | undefined, name: string): Promise<Db> {
  return new Promise((resolve, reject) => {
    if (factory === undefined) return reject(unusable('there is none here. Use createFileKeyStore'))
    const request = factory.open(name, 1)
    request.addEventListener('upgradeneeded', () => request.result.createObjectStore(place))
    request.addEventListener('error', () => reject(unusable(reason(request.error), request.error)))
    request.addEventListener('success', () => resolve(request.result))
  })
}

/**
 * A key store in a browser's IndexedDB, for pages and workers of one origin. All scripts of the origin can read it, so
 * put an encrypted store over it.
 *
 * Its calls reject with a KwaaiError `ERR_IDENTITY_KEYSTORE_UNUSABLE` where there is no IndexedDB, or it refuses.
 */
export function createIndexedDbKeyStore(
  init: IndexedDbKeyStoreInit = {},
  components: IndexedDbKeyStoreComponents = {}
): KeyStore & { close(): Promise<void> } {
  const factory = components.indexedDB ?? (globalThis as { indexedDB?: DbFactory }).indexedDB
  let opened: Promise<Db> | undefined
  const database = (): Promise<Db> => {
    if (opened === undefined) {
      const opening = openDb(factory, init.database ?? 'kwaai-keys')
      opened = opening
      const forget = (): void => {
        if (opened === opening) opened = undefined
      }
      opening.then((db) => {
        // Another version wants in, or the browser took the database away: the next call opens it anew.
        db.addEventListener('versionchange', () => {
          forget()
          db.close()
        })
        db.addEventListener('close', forget)
      }, forget)
    }
    return opened
  }

  /** One request in a transaction of its own; done when it is on the disk. */
  async function run<T>(
    mode: 'readonly' | 'readwrite',
    call: (store: DbObjectStore) => DbRequest<T>,
    { signal }: CallOptions
  ): Promise<T> {
    signal?.throwIfAborted()
    const db = await database()
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const transaction = db.transaction(place, mode, { durability: 'strict' })
      const request = call(transaction.objectStore(place))
      const abort = (): void => transaction.abort()
      signal?.addEventListener('abort', abort, { once: true })
      const settle = (act: () => void) => (): void => {
        signal?.removeEventListener('abort', abort)
        act()
      }
      transaction.addEventListener(
        'complete',
        settle(() => resolve(request.result))
      )
      transaction.addEventListener(
        'abort',
        settle(() =>
          reject(
            signal?.aborted === true ? (signal.reason as Error) : refused(request.error ?? transaction.error)
          )
        )
      )
    })
  }

  return {
    specification: 'kwaai.key-store/1',
    maxSecretBytes: MAX_STORED_SECRET_BYTES,
    async get(name, options = {}) {
      checkKeyName(name)
      const value = await run('readonly', (store) => store.get(name), options)
      if (value === undefined) return undefined
      if (value instanceof Uint8Array) return Uint8Array.from(value)
      throw unusable(`what stands under the name ${name} is no secret`)
    },
    async put(name, secret, options = {}) {
      checkKeyName(name)
      const kept = checkSecret(secret, MAX_STORED_SECRET_BYTES)
      const replace = options.replace === true
      await run(
        'readwrite',
        (store) => (replace ? store.put(kept, name) : store.add(kept, name)),
        options
      ).catch((error: unknown) => {
        throw (error as { cause?: { name?: string } }).cause?.name === 'ConstraintError'
          ? keyExists(name, error)
          : error
      })
    },
    async delete(name, options = {}) {
      checkKeyName(name)
      await run('readwrite', (store) => store.delete(name), options)
    },
    async list(options = {}) {
      const names = await run('readonly', (store) => store.getAllKeys(), options)
      return names.filter((name) => typeof name === 'string').toSorted()
    },
    async close() {
      const closing = opened
      opened = undefined
      await closing?.then((db) => db.close())
    }
  }
}

function refused(error: Error | null): Error {
  return unusable(reason(error), error)
}

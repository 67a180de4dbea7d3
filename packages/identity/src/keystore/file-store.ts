import { keyFileSystem } from '#platform'
import type { CallOptions, KeyStore, Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { toHex } from '../bytes.ts'
import { ERR_IDENTITY_SECRET_DAMAGED, identityError } from '../errors.ts'
import { clearOut, openFolder, readSecret, unusable, writeNew } from './files.ts'
import type { KeyFileSystem } from './file-system.ts'
import { checkKeyName, checkSecret, isKeyName, MAX_STORED_SECRET_BYTES } from './limits.ts'
import { keyExists } from './memory-store.ts'

/** Which folder. */
export interface FileKeyStoreInit {
  /** Made where it is missing, with mode 0700. The secret `identity` lies in its file `identity.key`. */
  folder: string
}

/** What the store needs. */
export interface FileKeyStoreComponents {
  /** Default: the files of this machine. */
  files?: KeyFileSystem
  random?: Random
}

const extension = '.key'
/** What a write under way has: the name, the process, something random. */
const leftover = /^\.([a-z0-9._-]{1,64})\.key\.(\d{1,10})-[0-9a-f]{16}\.(?:new|old)$/
/** Another process takes a file of ours for a leftover where it cannot see that we live; then it is written again. */
const maxAttempts = 3

/** Files that this process is writing now: what else carries its id is from an earlier process. */
const underWay = new Set<string>()

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code

/**
 * A key store in a folder of files, each of mode 0600. A secret appears or changes at once or not at all, and is on the
 * disk when the call resolves; what it replaces is overwritten and removed. Wrong permissions are repaired, symbolic
 * links refused, and what a crash left is swept at the first call.
 *
 * Its calls reject with a KwaaiError `ERR_IDENTITY_KEYSTORE_UNUSABLE` where the folder cannot be used or not safely,
 * and `ERR_IDENTITY_SECRET_DAMAGED` for a file that is empty.
 */
export function createFileKeyStore(
  init: FileKeyStoreInit,
  components: FileKeyStoreComponents = {}
): KeyStore {
  const { folder } = init
  const { random = systemRandom } = components
  let system: Promise<KeyFileSystem> | undefined
  let swept = false

  const files = (): Promise<KeyFileSystem> => {
    system ??= components.files === undefined ? keyFileSystem() : Promise.resolve(components.files)
    return system
  }
  /** @returns false where there is no folder yet and none is to be made. */
  const ready = async (fs: KeyFileSystem, make: boolean, { signal }: CallOptions): Promise<boolean> => {
    signal?.throwIfAborted()
    if (!(await openFolder(fs, folder, make))) return false
    if (!swept) await sweep(fs)
    swept = true
    signal?.throwIfAborted()
    return true
  }
  const sweep = async (fs: KeyFileSystem): Promise<void> => {
    for (const entry of await fs.readdir(folder)) {
      const pid = Number(leftover.exec(entry)?.[2] ?? Number.NaN)
      const path = fs.join(folder, entry)
      if (Number.isNaN(pid) || underWay.has(path)) continue
      if (pid !== fs.pid && fs.isAlive(pid)) continue
      // Under its new name nobody links or renames it any more.
      const doomed = entry.endsWith('.new') ? `${path.slice(0, -'.new'.length)}.old` : path
      try {
        if (doomed !== path) await fs.rename(path, doomed)
        await clearOut(fs, doomed)
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw unusable(`clear the folder ${folder}`, error)
      }
    }
  }
  /** Runs with the names of a new file and of the one it replaces; neither is there in the end. */
  const withNames = async <T>(
    fs: KeyFileSystem,
    name: string,
    run: (fresh: string, old: string) => Promise<T>
  ): Promise<T> => {
    const stem = fs.join(folder, `.${name}${extension}.${fs.pid}-${toHex(random.bytes(8))}`)
    const names = [`${stem}.new`, `${stem}.old`] as const
    for (const path of names) underWay.add(path)
    try {
      return await run(...names)
    } finally {
      for (const path of names) {
        await clearOut(fs, path).catch(() => undefined)
        underWay.delete(path)
      }
    }
  }
  const flush = async (fs: KeyFileSystem): Promise<void> => {
    if (!fs.posix) return
    const handle = await fs.open(folder, 'folder')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  /** Gives what stands at a path a second name, so that it can be overwritten once the first names something else. */
  const remember = async (fs: KeyFileSystem, path: string, old: string): Promise<void> => {
    try {
      await fs.link(path, old)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
  }

  return {
    specification: 'kwaai.key-store/1',
    maxSecretBytes: MAX_STORED_SECRET_BYTES,
    async get(name, options = {}) {
      checkKeyName(name)
      const fs = await files()
      if (!(await ready(fs, false, options))) return undefined
      const path = fs.join(folder, name + extension)
      const secret = await readSecret(fs, path, MAX_STORED_SECRET_BYTES)
      options.signal?.throwIfAborted()
      if (secret?.length === 0) {
        throw identityError(
          ERR_IDENTITY_SECRET_DAMAGED,
          `Cannot read the secret in ${path}: the file is empty. Restore it from a copy`
        )
      }
      return secret
    },
    async put(name, secret, options = {}) {
      checkKeyName(name)
      const kept = checkSecret(secret, MAX_STORED_SECRET_BYTES)
      const fs = await files()
      await ready(fs, true, options)
      const path = fs.join(folder, name + extension)
      for (let attempt = 1; ; attempt++) {
        try {
          await withNames(fs, name, async (fresh, old) => {
            await writeNew(fs, fresh, kept)
            options.signal?.throwIfAborted()
            if (options.replace === true) {
              await remember(fs, path, old)
              await fs.rename(fresh, path)
            } else {
              await fs.link(fresh, path)
            }
            await flush(fs)
          })
          kept.fill(0)
          return
        } catch (error) {
          if (codeOf(error) === 'EEXIST') throw keyExists(name, error)
          if (codeOf(error) === 'ENOENT' && attempt < maxAttempts) continue
          throw unusable(`keep a key in ${folder}`, error)
        }
      }
    },
    async delete(name, options = {}) {
      checkKeyName(name)
      const fs = await files()
      if (!(await ready(fs, false, options))) return
      try {
        await withNames(fs, name, async (_, old) => {
          await fs.rename(fs.join(folder, name + extension), old)
          await flush(fs)
        })
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw unusable(`take a key out of ${folder}`, error)
      }
    },
    async list(options = {}) {
      const fs = await files()
      if (!(await ready(fs, false, options))) return []
      const entries = await fs.readdir(folder)
      options.signal?.throwIfAborted()
      return entries
        .filter((entry) => entry.endsWith(extension))
        .map((entry) => entry.slice(0, -extension.length))
        .filter(isKeyName)
        .toSorted()
    }
  }
}

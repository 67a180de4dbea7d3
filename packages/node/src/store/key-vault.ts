import { createHash, randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  decodeSubjectKey,
  encodeSubjectKey,
  newSubjectKey,
  subjectName,
  SUBJECT_KEY_BYTES,
  type SubjectKey,
  type SubjectKeyVault
} from '@kwaai/audit'
import type { CallOptions, Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { folderUnusable, nodeError } from '../errors.ts'

/** What {@link createFileVault} is told. */
export interface FileVaultInit {
  /** The folder of the keys. It is made with the first one. */
  folder: string
}

const namesFile = 'names.secret'
const nameBytes = 32
const checkBytes = 8
const keyFile = /^[0-9a-f]{64}$/
/** A key on its way out: it opens nothing any more, and its bytes are about to be overwritten. */
const goneFile = /^[0-9a-f]{64}\.gone$/

/**
 * The keys of persons, one file each of mode 0600, since a log of the node's own keeps what is deleted until it is
 * written anew. A file's name is made with a secret of the folder and tells nothing. To destroy a key its bytes are
 * overwritten on the disk before the file is taken away; what a disk does below that (journals, copies on write, cells
 * that are moved about) nobody can promise.
 *
 * @throws (each call) A KwaaiError `ERR_NODE_FOLDER_UNUSABLE` where the folder cannot be read or written.
 */
export function createFileVault(init: FileVaultInit, components: { random?: Random } = {}): SubjectKeyVault {
  const { folder } = init
  const { random = systemRandom } = components
  let names: Promise<Uint8Array> | undefined

  const guarded = async <T>(work: () => Promise<T>, options?: CallOptions): Promise<T> => {
    options?.signal?.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      throw folderUnusable(`keep keys in ${folder}`, 'Give another --data-dir, or free some space', error)
    }
  }
  const namesSecret = (): Promise<Uint8Array> => {
    names ??= (async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await finishDestroying()
      return await readNames()
    })().catch((error: unknown) => {
      names = undefined
      throw error
    })
    return names
  }
  /** Under a secret that is not the one that was, no key would be found, and nobody could be forgotten. */
  const readNames = async (): Promise<Uint8Array> => {
    const path = join(folder, namesFile)
    // Another process may make it, and keys, between the two looks.
    for (const look of ['first', 'last']) {
      const found = await readIfThere(path)
      const secret = found && unchecked(found)
      if (secret !== undefined) return secret
      const hasKeys = (await readdir(folder)).some((name) => keyFile.test(name))
      if (found !== undefined || look === 'last') break
      if (!hasKeys) await placeNew(path, checked(random.bytes(nameBytes)))
    }
    throw nodeError(
      'ERR_NODE_STORE_DAMAGED',
      `Cannot find the keys of persons in ${folder}: ${namesFile} was changed or taken away. Restore it from a copy, or ` +
        'move the folder away to start without what these keys open'
    )
  }
  const pathOf = async (subject: string): Promise<string> =>
    join(folder, subjectName(await namesSecret(), subject))
  const read = async (path: string): Promise<SubjectKey | undefined> => {
    const found = await readIfThere(path)
    if (found === undefined) return undefined
    const bytes = unchecked(found)
    const key = bytes && decodeSubjectKey(bytes)
    // A key that is not what it was opens nothing: what belongs to it must not be taken for forgotten, and swept.
    if (key !== undefined) return key
    throw nodeError(
      'ERR_NODE_STORE_DAMAGED',
      `Cannot use ${path}: something else than a key stands there. Restore it from a copy, or move it away to start ` +
        'without what it opened'
    )
  }

  const make = async (subject: string): Promise<SubjectKey> => {
    const path = await pathOf(subject)
    const found = await read(path)
    if (found !== undefined) return found
    const key = newSubjectKey(random)
    if (await placeNew(path, checked(encodeSubjectKey(key)))) return key
    // Another process was first; where its key is destroyed already, this one may be made after all.
    return (await read(path)) ?? make(subject)
  }

  const destroy = async (subject: string): Promise<boolean> => {
    const path = await pathOf(subject)
    // First another name: nobody may read it half overwritten and encrypt with that.
    const gone = await rename(path, `${path}.gone`).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false
        throw error
      }
    )
    await finishDestroying()
    return gone
  }
  const finishDestroying = async (): Promise<void> => {
    const found = (await readdir(folder)).filter((name) => goneFile.test(name))
    for (const name of found) await overwrite(join(folder, name))
    if (found.length > 0) await syncFolder(folder)
  }

  return {
    specification: 'kwaai.subject-key-vault/1',
    get: (subject, options) => guarded(async () => read(await pathOf(subject)), options),
    make: (subject, options) => guarded(() => make(subject), options),
    destroy: (subject, options) => guarded(() => destroy(subject), options),
    async *keys(options) {
      const found = await guarded(async () => {
        await namesSecret()
        return (await readdir(folder)).filter((name) => keyFile.test(name))
      }, options)
      for (const name of found) {
        const key = await guarded(() => read(join(folder, name)), options)
        if (key !== undefined) yield key
      }
    }
  }
}

/** A secret, and eight bytes that tell whether it is still the one. */
function checked(secret: Uint8Array): Buffer {
  return Buffer.concat([secret, createHash('sha256').update(secret).digest().subarray(0, checkBytes)])
}

/** The secret in what {@link checked} made; undefined for all else. */
function unchecked(bytes: Uint8Array): Uint8Array | undefined {
  const secret = new Uint8Array(bytes.subarray(0, -checkBytes))
  return secret.length > 0 && checked(secret).equals(bytes) ? secret : undefined
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}

/** Appears whole or not at all. @returns false where something stands there, which then stays. */
async function placeNew(path: string, bytes: Uint8Array): Promise<boolean> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.new`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(temporary, path)
    await syncFolder(dirname(path))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
}

/** The bytes themselves go first, then the name. Another process may be doing the same. */
async function overwrite(path: string): Promise<void> {
  const file = await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return
  try {
    const length = Math.max(SUBJECT_KEY_BYTES + checkBytes, (await file.stat()).size)
    await file.write(randomBytes(length), 0, length, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await rm(path, { force: true })
}

/** Some systems open no folders; their names last without it. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}

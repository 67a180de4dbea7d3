import { KwaaiError } from '@kwaai/interface'
import { ERR_IDENTITY_KEYSTORE_UNUSABLE, identityError } from '../errors.ts'
import type { FileFacts, KeyFileHandle, KeyFileSystem } from './file-system.ts'

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code

/** What the system said, as an error of this package. Errors of the house stay as they are. */
export function unusable(doing: string, cause: unknown, advice = ''): unknown {
  if (KwaaiError.is(cause) || !(cause instanceof Error) || typeof codeOf(cause) !== 'string') return cause
  return identityError(
    ERR_IDENTITY_KEYSTORE_UNUSABLE,
    `Cannot ${doing}: ${cause.message}${advice}`,
    {},
    cause
  )
}

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_KEYSTORE_UNUSABLE, why)
}

const othersMayWrite = 0o022
const othersMayAnything = 0o077
const sticky = 0o1000

async function factsOf(fs: KeyFileSystem, folder: string): Promise<FileFacts | undefined> {
  return fs.stat(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw unusable(`use the folder ${folder} for keys`, error)
  })
}

/**
 * Makes a folder of mode 0700, or looks whether one that stands can be used: where others may write they could put their
 * own key in place of ours, so it is closed to them, and one that is meant for all (`/tmp`) is refused. That others may
 * read its names is no harm and stays as its owner has it.
 *
 * @returns false where there is none and none is to be made.
 * @throws A KwaaiError `ERR_IDENTITY_KEYSTORE_UNUSABLE`.
 */
export async function openFolder(fs: KeyFileSystem, folder: string, make: boolean): Promise<boolean> {
  let facts = await factsOf(fs, folder)
  if (facts === undefined) {
    if (!make) return false
    await fs.mkdir(folder).catch((error: unknown) => {
      throw unusable(`make the folder ${folder} for keys`, error)
    })
    facts = await factsOf(fs, folder)
  }
  if (facts === undefined || !facts.isDirectory()) refuse(`Cannot keep keys in ${folder}: it is no folder`)
  if (!fs.posix || (facts.mode & othersMayWrite) === 0) return true
  if ((facts.mode & sticky) !== 0) {
    refuse(`Cannot keep keys in ${folder}: everybody may write there. Use a folder of your own`)
  }
  await fs.chmod(folder, 0o700).catch((error: unknown) => {
    throw unusable(`keep keys in ${folder}, where others may write`, error)
  })
  return true
}

/**
 * Reads a file of mode 0600, which it is given where others could read it.
 *
 * @returns `undefined` where there is none.
 * @throws A KwaaiError `ERR_IDENTITY_KEYSTORE_UNUSABLE` for a symbolic link, for what is no file, and what is larger.
 */
export async function readSecret(
  fs: KeyFileSystem,
  path: string,
  most: number
): Promise<Uint8Array | undefined> {
  let handle: KeyFileHandle
  try {
    handle = await fs.open(path, 'read')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    // Linux and macOS say ELOOP, FreeBSD EMLINK.
    if (codeOf(error) === 'ELOOP' || codeOf(error) === 'EMLINK') {
      refuse(`Cannot read the key ${path}: it is a symbolic link. Put the file itself there`)
    }
    throw unusable(`read the key ${path}`, error)
  }
  try {
    const facts = await handle.stat()
    if (!facts.isFile()) refuse(`Cannot read the key ${path}: it is no file`)
    if (facts.size > most)
      refuse(`Cannot read the key ${path}: its ${facts.size} bytes are more than any key has`)
    if (fs.posix && (facts.mode & othersMayAnything) !== 0) await handle.chmod(0o600)
    // One byte more than it had, so that one that grows is not taken for whole.
    const buffer = new Uint8Array(facts.size + 1)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    if (length > facts.size) refuse(`Cannot read the key ${path}: it changed meanwhile. Try again`)
    const secret = buffer.slice(0, length)
    buffer.fill(0)
    return secret
  } catch (error) {
    throw unusable(`read the key ${path}`, error)
  } finally {
    await handle.close()
  }
}

async function writeAll(handle: KeyFileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, at)
    at += bytesWritten
  }
  await handle.sync()
}

/** Writes a file that was not there, onto the disk. */
export async function writeNew(fs: KeyFileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const handle = await fs.open(path, 'create')
  try {
    await writeAll(handle, bytes)
  } finally {
    await handle.close()
  }
}

/**
 * Takes a name away. Where it is the last one of its file the bytes are overwritten first, as far as the disk lets
 * them be: flash memory and file systems that copy on write may keep them.
 */
export async function clearOut(fs: KeyFileSystem, path: string): Promise<void> {
  let handle: KeyFileHandle
  try {
    handle = await fs.open(path, 'overwrite')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    await fs.unlink(path)
    return
  }
  try {
    const facts = await handle.stat()
    // Another name means another file that lives: the key itself, or a copy somebody keeps.
    if (facts.isFile() && facts.nlink === 1) {
      const zeros = new Uint8Array(Math.min(facts.size, 1 << 20))
      await writeAll(handle, zeros)
    }
  } finally {
    await handle.close()
  }
  await fs.unlink(path)
}

import { link, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { folderUnusable, nodeError } from './errors.ts'
import { keyPath, type KeyName } from './node-key.ts'

/** How many keys may be put aside within one second. */
const maxSameSecond = 100

async function flushFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(dirname(path), 'r')
  await folder.sync().finally(() => folder.close())
}

/**
 * Keeps a key's file as it is under a second name, `identity.key.20261127T001459Z`, from which nothing but a person takes
 * it away. The key stands under both names until another takes its place.
 *
 * @returns the second name.
 */
export async function putAside(dataDir: string, name: KeyName, now: number): Promise<string> {
  const path = keyPath(dataDir, name)
  const stamp = `${new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
  for (let n = 1; ; n++) {
    const aside = `${path}.${stamp}${n === 1 ? '' : `-${n}`}`
    try {
      await link(path, aside)
      await flushFolder(aside)
      return aside
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST' && n < maxSameSecond) continue
      throw folderUnusable(`keep the old key beside ${path}`, 'Nothing was changed', error)
    }
  }
}

/**
 * Writes a file that was not there, of mode 0600. Where it cannot be written to its end it is taken away again.
 *
 * @param before - runs while the file is empty still: where it throws there is none.
 * @throws A KwaaiError `ERR_NODE_IDENTITY_EXISTS` where something stands there, `ERR_NODE_FOLDER_UNUSABLE`.
 */
export async function writeSecretFile(
  path: string,
  bytes: Uint8Array,
  before?: () => Promise<void>
): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await before?.()
      await file.writeFile(bytes)
      await file.sync()
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
    await flushFolder(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw nodeError(
        'ERR_NODE_IDENTITY_EXISTS',
        `Cannot write ${path}: a file stands there. Name another one; nothing is overwritten`,
        { cause: error }
      )
    }
    throw folderUnusable(`write ${path}`, 'Name a file in a folder that can be written', error)
  }
}

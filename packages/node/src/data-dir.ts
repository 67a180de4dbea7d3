import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { folderUnusable, nodeError } from './errors.ts'
import { tryLock } from './model/file-lock.ts'

/** The folder nodes keep their keys in, by the rules of the platform. */
export function defaultDataDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env['KWAAI_DATA_DIR']) return env['KWAAI_DATA_DIR']
  if (env['XDG_DATA_HOME']) return join(env['XDG_DATA_HOME'], 'kwaai')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'kwaai')
  if (process.platform === 'win32' && env['LOCALAPPDATA']) return join(env['LOCALAPPDATA'], 'kwaai')
  return join(homedir(), '.local', 'share', 'kwaai')
}

/**
 * Takes a data folder for this process: two nodes with one key would answer for each other, and a key that changes
 * under a running node would be lost.
 *
 * @param doing what for, as the end of "Cannot …".
 * @returns a function that gives it back.
 * @throws A KwaaiError `ERR_NODE_ALREADY_RUNNING`, or `ERR_NODE_FOLDER_UNUSABLE` where nothing can be written.
 */
export async function claimDataDir(
  dataDir: string,
  doing: string = 'start the node'
): Promise<() => Promise<void>> {
  const taken = await mkdir(dataDir, { recursive: true, mode: 0o700 })
    .then(() => tryLock(join(dataDir, 'node.lock')))
    .catch((error: unknown) => {
      throw unusable(dataDir, error)
    })
  if (typeof taken === 'function') return taken
  throw nodeError(
    'ERR_NODE_ALREADY_RUNNING',
    `Cannot ${doing}: ${taken === 0 ? 'another process' : `process ${taken}`} already runs one in ${dataDir}. ` +
      (doing === 'start the node' ? 'Give this one another --name or --data-dir' : 'End that one first')
  )
}

/**
 * The secret that a file keeps, which is `made` where there is none yet. Readable by its owner alone.
 *
 * @throws A KwaaiError `ERR_NODE_FOLDER_UNUSABLE` where it can be neither read nor written.
 */
export async function keepSecret(path: string, made: Uint8Array): Promise<Uint8Array> {
  try {
    await writeKey(path, made).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    return new Uint8Array(await readFile(path))
  } catch (error) {
    throw unusable(dirname(path), error)
  }
}

/** Appears whole or not at all, and never over a key that came in between. */
async function writeKey(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

function unusable(dataDir: string, cause: unknown): unknown {
  return folderUnusable(`keep the node's key in ${dataDir}`, 'Give another --data-dir', cause)
}

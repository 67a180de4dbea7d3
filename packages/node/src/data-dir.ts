import { chmod, link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { createIdentity, seedFromProtobuf, seedToProtobuf, type Identity } from '@kwaai/identity'
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
 * Takes a data folder for this process: two nodes with one key would answer for each other.
 *
 * @returns a function that gives it back.
 * @throws A KwaaiError `ERR_NODE_ALREADY_RUNNING`, or `ERR_NODE_FOLDER_UNUSABLE` where nothing can be written.
 */
export async function claimDataDir(dataDir: string): Promise<() => Promise<void>> {
  const taken = await mkdir(dataDir, { recursive: true, mode: 0o700 })
    .then(() => tryLock(join(dataDir, 'node.lock')))
    .catch((error: unknown) => {
      throw unusable(dataDir, error)
    })
  if (typeof taken === 'function') return taken
  throw nodeError(
    'ERR_NODE_ALREADY_RUNNING',
    `Cannot start the node: ${taken === 0 ? 'another process' : `process ${taken}`} already runs one in ${dataDir}. ` +
      'Give this one another --name or --data-dir'
  )
}

/**
 * The key a node keeps: made on the first start, the same ever after. The file holds a libp2p private key
 * (protobuf), readable by its owner alone.
 *
 * @throws A KwaaiError `ERR_NODE_FOLDER_UNUSABLE` where a new key cannot be written, `ERR_NODE_KEY_UNREADABLE`; a damaged key is never overwritten.
 */
export async function loadIdentity(dataDir: string): Promise<Identity> {
  const path = join(dataDir, 'identity.key')
  const kept = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw unreadable(path, error)
  })
  if (kept !== undefined) {
    try {
      const identity = createIdentity({ seed: seedFromProtobuf(new Uint8Array(kept)) })
      await chmod(path, 0o600)
      return identity
    } catch (error) {
      throw unreadable(path, error)
    }
  }
  const identity = createIdentity()
  await writeKey(path, seedToProtobuf(identity.exportSeed())).catch((error: unknown) => {
    throw unusable(dataDir, error)
  })
  return identity
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

function unreadable(path: string, cause: unknown): Error {
  return nodeError(
    'ERR_NODE_KEY_UNREADABLE',
    `Cannot read the node's key ${path}. Restore it from a copy, or move it away to start under a new identity`,
    { cause }
  )
}

import type { Ed25519Engine } from './ed25519.ts'
import { keptByKey } from './kept-by-key.ts'
import type { KeyFileSystem, KeyFileUse } from './keystore/file-system.ts'
import type { Argon2id } from './keystore/kdf.ts'

/** Argon2id of Node.js, from 24.7 on; `undefined` elsewhere. A derivation that runs goes on when its signal aborts. */
export async function nativeArgon2id(): Promise<Argon2id | undefined> {
  const crypto = await import('node:crypto').catch(() => undefined)
  const argon2 = crypto?.argon2 as (typeof import('node:crypto'))['argon2'] | undefined
  if (argon2 === undefined) return undefined
  return ({ passphrase, salt, m, t, p, length, secret, associatedData }, { signal, onProgress } = {}) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const abort = (): void => reject(signal?.reason as Error)
      signal?.addEventListener('abort', abort, { once: true })
      const parameters = {
        message: passphrase,
        nonce: salt,
        parallelism: p,
        tagLength: length,
        memory: m,
        passes: t,
        ...(secret === undefined ? {} : { secret }),
        ...(associatedData === undefined ? {} : { associatedData })
      }
      argon2('argon2id', parameters, (error, key) => {
        signal?.removeEventListener('abort', abort)
        if (error !== null) return reject(error)
        if (signal?.aborted !== true) onProgress?.(1)
        resolve(Uint8Array.from(key))
        key.fill(0)
      })
    })
}

/** The files of this machine. */
export async function keyFileSystem(): Promise<KeyFileSystem> {
  const [{ chmod, link, mkdir, open, readdir, rename, stat, unlink }, { constants }, { join }] =
    await Promise.all([import('node:fs/promises'), import('node:fs'), import('node:path')])
  const { O_CREAT, O_EXCL, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_RDONLY, O_WRONLY, O_DIRECTORY = 0 } = constants
  const flags: Record<KeyFileUse, number> = {
    read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
    create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
    overwrite: O_WRONLY | O_NOFOLLOW | O_NONBLOCK,
    folder: O_RDONLY | O_DIRECTORY
  }
  return {
    posix: process.platform !== 'win32',
    pid: process.pid,
    isAlive(pid) {
      try {
        process.kill(pid, 0)
        return true
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EPERM'
      }
    },
    join,
    open: (path, use) => open(path, flags[use], 0o600),
    link,
    rename,
    unlink,
    readdir: (path) => readdir(path),
    mkdir: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
    stat: (path) => stat(path),
    chmod: (path, mode) => chmod(path, mode)
  }
}

// SubjectPublicKeyInfo of an Ed25519 key is this and the key (RFC 8410, section 4).
const spki = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]

// Longest message, in bytes, that is verified where it is: what is longer would hold up the thread.
const maxMessageInThread = 4096

/**
 * An engine that verifies short messages in the calling thread: handing them to WebCrypto's threads and back costs a
 * quarter to a half as much again. Both are the same OpenSSL.
 */
export async function quickestEngine(engine: Ed25519Engine): Promise<Ed25519Engine> {
  const crypto = await import('node:crypto').catch(() => undefined)
  if (crypto === undefined) return engine
  const keyOf = keptByKey((publicKey) =>
    crypto.createPublicKey({ key: Buffer.from([...spki, ...publicKey]), format: 'der', type: 'spki' })
  )
  return {
    sign: engine.sign,
    verify: async (publicKey, message, signature) => {
      if (message.length > maxMessageInThread) return engine.verify(publicKey, message, signature)
      try {
        return crypto.verify(null, message, keyOf(publicKey), signature)
      } catch {
        return false // A point that is not on the curve.
      }
    }
  }
}

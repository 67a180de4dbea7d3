import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The file descriptor in the child process on which questions come and answers go. */
export const channelFd = 3

/** The exchange's file descriptor in the child process. */
export const exchangeFd = 4

/**
 * A file without a name that parent and child have open: how the logits get across. They are the one thing
 * that is large and comes with every token; as a message they are copied five times in pieces of 64 KiB.
 */
export interface Exchange {
  /** To hand to the child. */
  readonly fd: number
  /**
   * Runs a question whose large answer the child has written when it replies, and reads that into memory. One
   * at a time.
   *
   * @returns the reply.
   */
  read<T>(ask: () => Promise<T>, into: Float32Array): Promise<T>
  close(): void
}

/** Makes an {@link Exchange} in memory where the system has such files, else in its temporary folder. */
export function createExchange(): Exchange {
  const fd = openUnnamed()
  let before: Promise<unknown> = Promise.resolve()
  let closed = false

  const take = async <T>(ask: () => Promise<T>, into: Float32Array): Promise<T> => {
    const reply = await ask()
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
    for (let filled = 0; filled < bytes.length;) {
      const count = readSync(fd, bytes, filled, bytes.length - filled, filled)
      if (count === 0) throw new Error('the exchange with the process that computes is short')
      filled += count
    }
    return reply
  }

  return {
    fd,
    read(ask, into) {
      const result = before.then(() => take(ask, into))
      before = result.catch(() => undefined)
      return result
    },
    close() {
      if (!closed) closeSync(fd)
      closed = true
    }
  }
}

function openUnnamed(): number {
  let failure: unknown
  for (const parent of process.platform === 'linux' ? ['/dev/shm', tmpdir()] : [tmpdir()]) {
    try {
      const folder = mkdtempSync(join(parent, 'kwaai-'))
      try {
        return openSync(join(folder, 'exchange'), 'wx+', 0o600)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

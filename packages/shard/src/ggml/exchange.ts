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
   * Runs a question whose large answer the child has written when it replies. One at a time, so that what is read
   * in its course is its answer.
   */
  use<T>(ask: () => Promise<T>): Promise<T>
  /** Fills memory from `offset` bytes on. */
  read(offset: number, into: Float32Array): void
  close(): void
}

/** Makes an {@link Exchange} in memory where the system has such files, else in its temporary folder. */
export function createExchange(): Exchange {
  const fd = openUnnamed()
  let before: Promise<unknown> = Promise.resolve()
  let closed = false

  return {
    fd,
    use(ask) {
      const result = before.then(ask)
      before = result.catch(() => undefined)
      return result
    },
    read(offset, into) {
      const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
      for (let filled = 0; filled < bytes.length;) {
        const count = readSync(fd, bytes, filled, bytes.length - filled, offset + filled)
        if (count === 0) throw new Error('the exchange with the process that computes is short')
        filled += count
      }
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

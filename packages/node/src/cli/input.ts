import { close, constants, fstat, open, read, type Stats } from 'node:fs'
import { Socket } from 'node:net'
import { isatty } from 'node:tty'
import { promisify } from 'node:util'
import { nodeError } from '../errors.ts'
import type { Io } from './terminal.ts'

/** More than any document of a command line has; what is longer is not read to its end. */
const defaultMaxBytes = 1 << 20
/** How long a named pipe may stay silent: a program may ask a person before it writes. */
const silentPipeMs = 60_000

/** How {@link readBytes} reads. */
export interface ReadBytesOptions {
  maxBytes: number
  signal: AbortSignal
  /** Milliseconds a pipe may stay silent. Default 60,000. */
  waitMs?: number
}

/**
 * The bytes of a file or a pipe, `maxBytes` at most. Opening and reading never wait in a thread of their own, which
 * nothing could end: a pipe that nobody writes to is given up.
 *
 * @throws What the system says, or why it is not read.
 */
export async function readBytes(
  path: string,
  options: ReadBytesOptions
): Promise<{ bytes: Uint8Array; facts: Stats }> {
  const fd = await promisify(open)(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  let own = true
  try {
    const facts = await promisify(fstat)(fd)
    if (isatty(fd)) throw new Error('it is a terminal')
    if (facts.isFIFO()) {
      own = false
      return { bytes: await readPipe(fd, options), facts }
    }
    // Files that a system makes up as they are read say that they have no size.
    const known = facts.isFile() && facts.size > 0 ? facts.size + 1 : options.maxBytes
    const bytes = Buffer.alloc(Math.min(options.maxBytes, known))
    let length = 0
    while (length < bytes.length) {
      options.signal.throwIfAborted()
      const { bytesRead } = await promisify(read)(fd, bytes, length, bytes.length - length, null)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return { bytes: bytes.subarray(0, length), facts }
  } finally {
    if (own) await promisify(close)(fd)
  }
}

async function readPipe(fd: number, options: ReadBytesOptions): Promise<Uint8Array> {
  const { maxBytes, signal, waitMs = silentPipeMs } = options
  const pipe = new Socket({ fd, readable: true, writable: false })
  const end = (): void => void pipe.destroy(signal.reason as Error)
  pipe.setTimeout(waitMs, () => pipe.destroy(new Error(`nobody writes into this pipe for ${waitMs} ms`)))
  signal.addEventListener('abort', end, { once: true })
  try {
    signal.throwIfAborted()
    return await gather(pipe, maxBytes)
  } finally {
    signal.removeEventListener('abort', end)
    pipe.destroy()
  }
}

async function gather(chunks: AsyncIterable<unknown>, maxBytes: number): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk as Buffer)
    parts.push(bytes)
    length += bytes.length
    if (length >= maxBytes) break
  }
  return Buffer.concat(parts).subarray(0, maxBytes)
}

/**
 * The bytes of a file, or of standard input for `-`; a mebibyte at most where nothing else is said.
 *
 * @throws A KwaaiError `ERR_NODE_FILE_UNREADABLE`.
 */
export async function readInput(
  file: string,
  io: Io,
  maxBytes: number = defaultMaxBytes
): Promise<Uint8Array> {
  if (file === '-') return gather(io.stdin, maxBytes)
  try {
    return (await readBytes(file, { maxBytes, signal: io.signal })).bytes
  } catch (cause) {
    io.signal.throwIfAborted()
    throw nodeError('ERR_NODE_FILE_UNREADABLE', `Cannot read ${file}: ${(cause as Error).message}`, { cause })
  }
}

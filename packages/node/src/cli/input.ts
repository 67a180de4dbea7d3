import { open } from 'node:fs/promises'
import { nodeError } from '../errors.ts'
import type { Io } from './terminal.ts'

/** More than any document of a command line has; what is longer is not read to its end. */
const maxBytes = 1 << 20

/**
 * The bytes of a file, or of standard input for `-`; a mebibyte at most.
 *
 * @throws A KwaaiError `ERR_NODE_FILE_UNREADABLE`.
 */
export function readInput(file: string, io: Io): Promise<Uint8Array> {
  return file === '-' ? readStandardInput(io) : readFile(file)
}

async function readFile(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const bytes = Buffer.alloc(maxBytes)
      let length = 0
      for (let read = 1; read > 0 && length < bytes.length; length += read) {
        read = (await file.read(bytes, length, bytes.length - length)).bytesRead
      }
      return bytes.subarray(0, length)
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw nodeError('ERR_NODE_FILE_UNREADABLE', `Cannot read ${path}: ${(cause as Error).message}`, { cause })
  }
}

async function readStandardInput(io: Io): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of io.stdin) {
    chunks.push(Buffer.from(chunk as Buffer))
    length += (chunk as Buffer).length
    if (length >= maxBytes) break
  }
  return Buffer.concat(chunks)
}

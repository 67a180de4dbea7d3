import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import type { CallOptions } from '@kwaai/interface'

/** SHA-256 of bytes, in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** SHA-256 of a file, in hex, read in pieces. */
export async function sha256File(path: string, options: CallOptions = {}): Promise<string> {
  const hash = createHash('sha256')
  const stream = createReadStream(path, { highWaterMark: 1 << 20, signal: options.signal })
  for await (const chunk of stream) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

interface Note {
  size: number
  mtimeMs: number
  sha256: string
}

/**
 * SHA-256 of a file of the cache, remembered beside it. The note holds while size and time of change are the
 * same, so that a start need not read gigabytes again.
 */
export async function cachedSha256(path: string, options: CallOptions = {}): Promise<string> {
  const notePath = `${path}.sha256.json`
  const { size, mtimeMs } = await stat(path)
  const note = await readFile(notePath, 'utf8')
    .then((text) => JSON.parse(text) as Partial<Note>)
    .catch(() => undefined)
  if (note?.size === size && note.mtimeMs === mtimeMs && typeof note.sha256 === 'string') return note.sha256
  const digest = await sha256File(path, options)
  // A read-only folder is no reason to fail: the digest is computed again next time.
  await writeFile(notePath, `${JSON.stringify({ size, mtimeMs, sha256: digest })}\n`).catch(() => undefined)
  return digest
}

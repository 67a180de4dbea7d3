import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Every way in which a text may stand in a file. */
export function shapesOf(text: string): Buffer[] {
  const bytes = Buffer.from(text)
  const shapes = [
    bytes,
    Buffer.from(text, 'utf16le'),
    Buffer.from(text, 'utf16le').swap16(),
    Buffer.from(bytes.toString('hex')),
    Buffer.from(bytes.toString('hex').toUpperCase()),
    Buffer.from(encodeURIComponent(text)),
    Buffer.from(JSON.stringify(text).slice(1, -1)),
    Buffer.from(Array.from(text, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')),
    Buffer.from([...bytes].join(','))
  ]
  // In base64 a text looks otherwise at each of three places; what is cut off at both ends is what neighbours change.
  for (const offset of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(offset), bytes])
    const whole = padded.toString('base64').replaceAll('=', '')
    const inner = whole.slice(offset === 0 ? 0 : offset + 1, Math.floor((padded.length * 8) / 6))
    shapes.push(Buffer.from(inner), Buffer.from(inner.replaceAll('+', '-').replaceAll('/', '_')))
  }
  return shapes
}

/** All files below a folder, with their bytes and their paths. */
export async function filesBelow(folder: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found.set(path.slice(folder.length + 1), await readFile(path))
  }
  return found
}

/** Where any of the texts stands in any shape, in the bytes or the name of a file below a folder: `file: text`. */
export async function traces(folder: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = []
  const files = await filesBelow(folder)
  for (const text of texts) {
    const shapes = shapesOf(text)
    for (const [path, bytes] of files) {
      const all = Buffer.concat([Buffer.from(path), Buffer.from([0]), bytes])
      if (shapes.some((shape) => all.includes(shape))) found.push(`${path}: ${text}`)
    }
  }
  return found
}

/** All that comes. */
export async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of from) found.push(one)
  return found
}

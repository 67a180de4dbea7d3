import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ByteSource, CallOptions } from '@kwaai/interface'
import { nodeError } from '../errors.ts'
import { sha256 } from './digest.ts'
import { downloadRange, type DownloadOptions } from './http-download.ts'
import type { ModelEntry } from './known-models.ts'

/**
 * The parts of a model that somebody reads, and no others: each piece is fetched when it is first needed,
 * checked against its digest, and kept as a file of its own, so that several processes and later starts share
 * it without a lock.
 */
export function createPieceSource(
  entry: ModelEntry & { pieces: NonNullable<ModelEntry['pieces']> },
  folder: string,
  sources: readonly { label: string; url: string }[],
  options: DownloadOptions
): ByteSource {
  const { length: pieceLength, sha256: digests } = entry.pieces
  let received = 0

  const pathOf = (index: number): string => join(folder, `${index}.piece`)
  const endOf = (index: number): number => Math.min((index + 1) * pieceLength, entry.size)

  async function kept(index: number): Promise<Uint8Array | undefined> {
    const bytes = await readFile(pathOf(index)).catch(() => undefined)
    return bytes !== undefined && sha256(bytes) === digests[index] ? bytes : undefined
  }

  async function keep(index: number, bytes: Uint8Array): Promise<void> {
    const temporary = `${pathOf(index)}.${process.pid}`
    await writeFile(temporary, bytes)
    await rename(temporary, pathOf(index))
  }

  /** Fetches pieces `[from, to)` as one range from the first source that gives them. */
  async function fetchRun(from: number, to: number): Promise<Uint8Array[]> {
    const failures: unknown[] = []
    for (const source of sources) {
      try {
        const start = from * pieceLength
        const bytes = await downloadRange(source, start, endOf(to - 1), options)
        const pieces: Uint8Array[] = []
        for (let index = from; index < to; index++) {
          const piece = bytes.subarray(index * pieceLength - start, endOf(index) - start)
          if (sha256(piece) !== digests[index]) {
            throw nodeError(
              'ERR_NODE_MODEL_MISMATCH',
              `Cannot use ${source.label}: piece ${index} of ${entry.fileName} has another SHA-256 than the model`
            )
          }
          pieces.push(piece)
          await keep(index, piece)
        }
        received += bytes.length
        options.onProgress({ source: source.label, receivedBytes: received })
        return pieces
      } catch (error) {
        options.signal?.throwIfAborted()
        failures.push(error)
      }
    }
    throw nodeError(
      'ERR_NODE_MODEL_NO_SOURCE',
      `Cannot read bytes ${from * pieceLength} to ${endOf(to - 1)} of ${entry.fileName}: no source gave them`,
      { cause: failures[0], details: { tried: failures.map(String) } }
    )
  }

  /** Pieces `[first, last]`: what is kept from disk, the missing runs from the network. */
  async function pieces(first: number, last: number): Promise<Uint8Array[]> {
    await mkdir(folder, { recursive: true })
    const found: (Uint8Array | undefined)[] = []
    for (let index = first; index <= last; index++) found.push(await kept(index))
    for (let at = 0; at < found.length; at++) {
      if (found[at] !== undefined) continue
      let end = at
      while (end < found.length && found[end] === undefined) end++
      found.splice(at, end - at, ...(await fetchRun(first + at, first + end)))
    }
    return found as Uint8Array[]
  }

  // One read at a time: two overlapping reads would fetch the pieces they share twice.
  let queue: Promise<unknown> = Promise.resolve()

  async function readNow(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    // A few megabytes at a time, so that a large read holds no second copy of itself.
    const stride = 8
    const lastPiece = Math.ceil((offset + length) / pieceLength) - 1
    for (let first = Math.floor(offset / pieceLength); first <= lastPiece; first += stride) {
      const run = await pieces(first, Math.min(first + stride - 1, lastPiece))
      run.forEach((piece, i) => {
        const pieceStart = (first + i) * pieceLength
        const from = Math.max(offset, pieceStart)
        const to = Math.min(offset + length, pieceStart + piece.length)
        bytes.set(piece.subarray(from - pieceStart, to - pieceStart), from - offset)
      })
    }
    return bytes
  }

  return {
    size: entry.size,
    read(offset: number, length: number, call: CallOptions = {}): Promise<Uint8Array> {
      if (!(offset >= 0 && length >= 0 && offset + length <= entry.size)) {
        return Promise.reject(new RangeError(`Cannot read ${length} bytes at ${offset} of ${entry.size}`))
      }
      if (length === 0) return Promise.resolve(new Uint8Array(0))
      const result = queue.then(() => {
        call.signal?.throwIfAborted()
        return readNow(offset, length)
      })
      queue = result.catch(() => undefined)
      return result
    }
  }
}

import { concatBytes } from './bytes.ts'
import { HASH_BYTES, MAX_ENTRY_BYTES, TILE_WIDTH } from './constants.ts'
import { ERR_AUDIT_MALFORMED, auditError } from './errors.ts'
import { hashChildren, hashLeaf, type HashReader } from './merkle.ts'

/** Where a tile stands: its level, or `entries` for the entries themselves, its index and how many it holds. */
export interface TilePlace {
  level: number | 'entries'
  index: number
  /** 1 to 256; less than 256 for a partial tile. */
  width: number
}

/** The path of a tile below the address of its log, such as `tile/0/x001/234.p/12` (C2SP tlog-tiles). */
export function tilePath({ level, index, width }: TilePlace): string {
  let rest = Math.floor(index / 1_000)
  let path = pad(index % 1_000)
  for (; rest > 0; rest = Math.floor(rest / 1_000)) path = `x${pad(rest % 1_000)}/${path}`
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`
}

function pad(n: number): string {
  return String(n).padStart(3, '0')
}

/** The tile a path names; undefined for every text that {@link tilePath} does not write. */
export function parseTilePath(path: string): TilePlace | undefined {
  const found = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(
    path
  )
  if (found === null) return undefined
  const [, level, digits, width] = found
  const place: TilePlace = {
    level: level === 'entries' ? level : Number(level),
    index: Number((digits as string).replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width)
  }
  const sound =
    Number.isSafeInteger(place.index) && place.width >= 1 && (place.level === 'entries' || place.level <= 63)
  return sound && tilePath(place) === path ? place : undefined
}

/** Every tile of a log of `size` entries, full and partial, the lowest level first; `entries` bundles last. */
export function* tilesOf(size: number): Generator<TilePlace> {
  let hashes = size
  for (let level = 0; hashes > 0; level++) {
    yield* tilesOfLevel(level, hashes)
    hashes = Math.floor(hashes / TILE_WIDTH)
  }
  yield* bundlesOf(size)
}

/** The entry bundles of a log of `size` entries. */
export function bundlesOf(size: number): Generator<TilePlace> {
  return tilesOfLevel('entries', size)
}

function* tilesOfLevel(level: TilePlace['level'], count: number): Generator<TilePlace> {
  for (let index = 0; index * TILE_WIDTH < count; index++)
    yield { level, index, width: Math.min(TILE_WIDTH, count - index * TILE_WIDTH) }
}

/** Whether a log of `size` entries has this tile, be it as a part of a wider one. */
export function hasTile(size: number, { level, index, width }: TilePlace): boolean {
  const count = level === 'entries' ? size : widthAt(size, level)
  return index * TILE_WIDTH + width <= count
}

/** The bytes of an entry bundle: each entry behind its length, a big-endian uint16. */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  const parts: ArrayLike<number>[] = []
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES)
      throw auditError(
        ERR_AUDIT_MALFORMED,
        `Cannot write the entries: one of ${entry.length} bytes is more than ${MAX_ENTRY_BYTES}`
      )
    parts.push([entry.length >> 8, entry.length & 0xff], entry)
  }
  return concatBytes(...parts)
}

/**
 * The entries of a bundle.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED` unless the bytes are exactly `count` entries.
 */
export function decodeEntryBundle(bytes: Uint8Array, count: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  let at = 0
  while (at + 2 <= bytes.length && entries.length < count) {
    const end = at + 2 + (((bytes[at] as number) << 8) | (bytes[at + 1] as number))
    if (end > bytes.length) break
    entries.push(bytes.slice(at + 2, end))
    at = end
  }
  if (entries.length !== count || at !== bytes.length)
    throw auditError(ERR_AUDIT_MALFORMED, `Cannot read the entries: the bytes are not ${count} of them`)
  return entries
}

/** Reads one tile of hashes: `width * 32` bytes. */
export type TileReader = (place: TilePlace & { level: number }) => Promise<Uint8Array>

/**
 * Reads the hashes of a log of `size` entries out of its tiles, for proofs and roots. Nothing read is believed: a
 * proof made of it holds against a signed root or does not. Tiles are kept, at most `maxTiles` of 8 KiB.
 *
 * @throws (each read) A KwaaiError `ERR_AUDIT_MALFORMED` when a tile has another length than it has to.
 */
export function createTileHashReader(size: number, read: TileReader, maxTiles: number = 64): HashReader {
  const kept = new Map<string, Uint8Array>()
  const tile = async (level: number, index: number): Promise<Uint8Array> => {
    const place = { level, index, width: Math.min(TILE_WIDTH, widthAt(size, level) - index * TILE_WIDTH) }
    const path = tilePath(place)
    const known = kept.get(path)
    if (known !== undefined) return known
    const bytes = await read(place)
    if (bytes.length !== place.width * HASH_BYTES)
      throw auditError(
        ERR_AUDIT_MALFORMED,
        `Cannot use the tile ${path}: it has ${bytes.length} bytes and not ${place.width * HASH_BYTES}`
      )
    if (kept.size >= maxTiles) kept.delete(kept.keys().next().value as string)
    kept.set(path, bytes)
    return bytes
  }
  return async (level, index) => {
    const tileLevel = Math.floor(level / 8)
    const count = 2 ** (level - tileLevel * 8)
    const first = index * count
    const bytes = await tile(tileLevel, Math.floor(first / TILE_WIDTH))
    const offset = (first % TILE_WIDTH) * HASH_BYTES
    return foldHashes(bytes.subarray(offset, offset + count * HASH_BYTES))
  }
}

function widthAt(size: number, level: number): number {
  return Math.floor(size / TILE_WIDTH ** level)
}

/** The root over hashes that stand one behind the other; their number is a power of two. */
export function foldHashes(bytes: Uint8Array): Uint8Array {
  let hashes: Uint8Array[] = Array.from({ length: bytes.length / HASH_BYTES }, (_, at) =>
    bytes.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES)
  )
  while (hashes.length > 1) {
    hashes = Array.from({ length: hashes.length / 2 }, (_, at) =>
      hashChildren(hashes[at * 2] as Uint8Array, hashes[at * 2 + 1] as Uint8Array)
    )
  }
  return hashes[0] as Uint8Array
}

/** The level-0 tile over entries. */
export function leafTile(entries: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...entries.map(hashLeaf))
}

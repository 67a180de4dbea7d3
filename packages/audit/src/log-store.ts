import { canonicalizeJson } from '@kwaai/identity'
import type { BatchOperation, CallOptions, KeyValueStore } from '@kwaai/interface'
import { concatBytes, fromBase64, textOf, toBase64, utf8 } from './bytes.ts'
import { HASH_BYTES, TILE_WIDTH } from './constants.ts'
import { ERR_AUDIT_LOG_DAMAGED, auditError } from './errors.ts'
import {
  emptyFrontier,
  frontierLength,
  growFrontier,
  hashLeaf,
  type Frontier,
  type HashReader
} from './merkle.ts'
import {
  createTileHashReader,
  decodeEntryBundle,
  encodeEntryBundle,
  foldHashes,
  leafTile,
  type TilePlace
} from './tiles.ts'

/** Where a log stands. */
export interface LogHead {
  origin: string
  frontier: Frontier
}

/** A log's entries and tiles in a store: what of it does not change is written once, 256 entries together. */
export interface LogStore {
  head(options?: CallOptions): Promise<LogHead | undefined>
  /** The bytes of entry `seq` of a log that has it. */
  entry(seq: number, options?: CallOptions): Promise<Uint8Array>
  /** The entries from `from` to before `to`. */
  entries(from: number, to: number, options?: CallOptions): AsyncIterable<Uint8Array>
  /** The bytes of a tile or a bundle of a log that has it. */
  tile(place: TilePlace, options?: CallOptions): Promise<Uint8Array>
  hashes(size: number, options?: CallOptions): HashReader
  /** The writes that append entries, and the head behind them. */
  append(
    head: LogHead,
    entries: readonly Uint8Array[],
    options?: CallOptions
  ): Promise<{ operations: BatchOperation[]; head: LogHead }>
}

const prefix = 'audit/'
const headKey = `${prefix}head`
/** Keys stand in the order of their numbers. */
const digits = (n: number): string => String(n).padStart(16, '0')
const entryKey = (seq: number): string => `${prefix}entry/${digits(seq)}`
const tileKey = (level: number | 'entries', index: number): string =>
  `${prefix}tile/${level}/${digits(index)}`

/** The key of an entry's sealed data. */
export function dataKey(seq: number): string {
  return `${prefix}data/${digits(seq)}`
}

/** The key of the last signed checkpoint. */
export const checkpointKey: string = `${prefix}checkpoint`

/** A log in a store, under `audit/`. */
export function createLogStore(store: KeyValueStore): LogStore {
  const has = async (key: string, options?: CallOptions): Promise<Uint8Array> => {
    const bytes = await store.get(key, options)
    if (bytes === undefined) throw damaged(`${key} is not there`)
    return bytes
  }

  const entry: LogStore['entry'] = async (seq, options) => {
    // It may move from the one place to the other meanwhile.
    const alone = await store.get(entryKey(seq), options)
    if (alone !== undefined) return alone
    const bundle = decodeEntryBundle(
      await has(tileKey('entries', Math.floor(seq / TILE_WIDTH)), options),
      TILE_WIDTH
    )
    return bundle[seq % TILE_WIDTH] as Uint8Array
  }

  async function* entries(from: number, to: number, options?: CallOptions): AsyncGenerator<Uint8Array> {
    for (let at = from; at < to;) {
      options?.signal?.throwIfAborted()
      const index = Math.floor(at / TILE_WIDTH)
      const end = Math.min(to, (index + 1) * TILE_WIDTH)
      const bundle = await store.get(tileKey('entries', index), options)
      if (bundle !== undefined) {
        const all = decodeEntryBundle(bundle, TILE_WIDTH)
        yield* all.slice(at % TILE_WIDTH, (at % TILE_WIDTH) + end - at)
        at = end
      } else {
        yield await entry(at++, options)
      }
    }
  }

  const tail = async (from: number, to: number, options?: CallOptions): Promise<Uint8Array[]> => {
    const found: Uint8Array[] = []
    for await (const one of entries(from, to, options)) found.push(one)
    return found
  }

  const tile: LogStore['tile'] = async ({ level, index, width }, options) => {
    const first = index * TILE_WIDTH
    if (level === 'entries' || level === 0) {
      const kept = width === TILE_WIDTH ? await store.get(tileKey(level, index), options) : undefined
      if (kept !== undefined) return kept
      const found = await tail(first, first + width, options)
      return level === 0 ? leafTile(found) : encodeEntryBundle(found)
    }
    // A tile on its way to being full holds those that it was before.
    const kept = await has(tileKey(level, index), options)
    if (kept.length < width * HASH_BYTES) throw damaged(`a tile of level ${level} is too short`)
    return kept.slice(0, width * HASH_BYTES)
  }

  const append: LogStore['append'] = async (head, added, options) => {
    const operations: BatchOperation[] = []
    const put = (key: string, value: Uint8Array): void => void operations.push({ type: 'put', key, value })
    const written = new Map<string, Uint8Array>()
    let { frontier } = head
    const first = frontier.size - (frontier.size % TILE_WIDTH)
    // Those of the open tile are read when it gets full, not with each entry.
    const fills = frontier.size + added.length >= first + TILE_WIDTH
    let open = fills ? await tail(first, frontier.size, options) : []
    for (const bytes of added) {
      put(entryKey(frontier.size), bytes)
      frontier = growFrontier(frontier, hashLeaf(bytes))
      open.push(bytes)
      if (frontier.size % TILE_WIDTH !== 0) continue
      const index = frontier.size / TILE_WIDTH - 1
      let full = leafTile(open)
      put(tileKey('entries', index), encodeEntryBundle(open))
      put(tileKey(0, index), full)
      for (let seq = index * TILE_WIDTH; seq < frontier.size; seq++)
        operations.push({ type: 'delete', key: entryKey(seq) })
      open = []
      // Each full tile is one hash of the level above.
      let above = index
      for (let level = 1; full.length === TILE_WIDTH * HASH_BYTES; level++) {
        const key = tileKey(level, Math.floor(above / TILE_WIDTH))
        const before =
          above % TILE_WIDTH === 0 ? new Uint8Array() : (written.get(key) ?? (await has(key, options)))
        full = concatBytes(before.slice(0, (above % TILE_WIDTH) * HASH_BYTES), foldHashes(full))
        written.set(key, full)
        put(key, full)
        above = Math.floor(above / TILE_WIDTH)
      }
    }
    const next = { origin: head.origin, frontier }
    put(headKey, encodeHead(next))
    return { operations, head: next }
  }

  return {
    async head(options) {
      const bytes = await store.get(headKey, options)
      return bytes === undefined ? undefined : decodeHead(bytes)
    },
    entry,
    entries,
    tile,
    hashes: (size, options) => createTileHashReader(size, (place) => tile(place, options)),
    append
  }
}

/** The head of a log without entries. */
export function emptyHead(origin: string): LogHead {
  return { origin, frontier: emptyFrontier }
}

function encodeHead({ origin, frontier }: LogHead): Uint8Array {
  const { size, hashes } = frontier
  return utf8(canonicalizeJson({ v: 1, origin, size, hashes: hashes.map(toBase64) }))
}

function decodeHead(bytes: Uint8Array): LogHead {
  try {
    const value = JSON.parse(textOf(bytes) ?? '') as {
      v: number
      origin: string
      size: number
      hashes: string[]
    }
    const hashes = value.hashes.map((hash) => fromBase64(hash) as Uint8Array)
    const sound =
      value.v === 1 &&
      typeof value.origin === 'string' &&
      Number.isSafeInteger(value.size) &&
      hashes.length === frontierLength(value.size) &&
      hashes.every(({ length }) => length === HASH_BYTES)
    if (sound) return { origin: value.origin, frontier: { size: value.size, hashes } }
  } catch {
    // Told below.
  }
  throw damaged('its head cannot be read')
}

/** What is kept is not a log. */
export function damaged(why: string): Error {
  return auditError(
    ERR_AUDIT_LOG_DAMAGED,
    `Cannot use the log: ${why}. Restore it from a copy; do not go on from another state, witnesses would see a fork`
  )
}

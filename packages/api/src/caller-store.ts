import type { BatchOperation, CallOptions, Clock, KeyValueStore } from '@kwaai/interface'

/** Bounds of a {@link CallerStore}. */
export interface CallerStoreInit {
  /** Begins each key, such as `api/responses`. */
  prefix: string
  /** How long a value is kept. */
  ttlMs: number
  /** Values of one caller at most; the oldest goes first. */
  maxPerCaller: number
  /** Bytes of one value at most. */
  maxValueBytes: number
  /** Bytes of all values at most; the oldest of the caller who has most goes first. */
  maxBytes: number
}

/** What it works with. */
export interface CallerStoreComponents {
  store: KeyValueStore
  clock: Clock
}

/** Values that belong to one caller each: for everybody else they are not there. */
export interface CallerStore {
  get(caller: string, id: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /** @returns false where the value is larger than one may be; nothing is kept then. */
  put(caller: string, id: string, value: Uint8Array): Promise<boolean>
  /** @returns whether there was one. */
  delete(caller: string, id: string): Promise<boolean>
}

interface Entry {
  caller: string
  id: string
  storedAt: number
  bytes: number
}

/** What one caller has, the oldest first. */
interface Shelf {
  entries: Map<string, Entry>
  bytes: number
}

// A value stands under `<prefix>/value/<caller>/<id>`, its time and size under `<prefix>/entry/<caller>/<id>`, so
// that what is kept is known without reading it.
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Keeps values over a `KeyValueStore`, bounded in number, size and time. What is kept is written and forgotten in
 * one atomic batch. A store is one process's: its index is read once, at the first call.
 */
export function createCallerStore(init: CallerStoreInit, components: CallerStoreComponents): CallerStore {
  const { prefix, ttlMs, maxPerCaller, maxValueBytes, maxBytes } = init
  const { store, clock } = components
  const callers = new Map<string, Shelf>()
  let total = 0
  let loading: Promise<void> | undefined
  const writing = new Set<Promise<void>>()

  // A caller's name may be an origin; in hex nothing of it can be a part of a key.
  const keysOf = (caller: string, id: string): { entry: string; value: string } => {
    const name = Array.from(encoder.encode(caller), (byte) => byte.toString(16).padStart(2, '0')).join('')
    return { entry: `${prefix}/entry/${name}/${id}`, value: `${prefix}/value/${name}/${id}` }
  }

  const add = (entry: Entry): void => {
    const shelf = callers.get(entry.caller) ?? { entries: new Map<string, Entry>(), bytes: 0 }
    callers.set(entry.caller, shelf)
    shelf.entries.set(entry.id, entry)
    shelf.bytes += entry.bytes
    total += entry.bytes
  }
  const drop = ({ caller, id }: Pick<Entry, 'caller' | 'id'>): BatchOperation[] => {
    const shelf = callers.get(caller)
    const entry = shelf?.entries.get(id)
    if (shelf === undefined || entry === undefined) return []
    shelf.entries.delete(id)
    shelf.bytes -= entry.bytes
    total -= entry.bytes
    if (shelf.entries.size === 0) callers.delete(caller)
    const keys = keysOf(caller, id)
    return [
      { type: 'delete', key: keys.entry },
      { type: 'delete', key: keys.value }
    ]
  }

  const load = async (): Promise<void> => {
    // What is still being written would be read as not there.
    await Promise.allSettled(writing)
    callers.clear()
    total = 0
    const found: Entry[] = []
    const start = `${prefix}/entry/`
    // The character after the slash ends the range.
    for await (const [, value] of store.entries({ gte: start, lt: `${prefix}/entry0` })) {
      const entry = readEntry(value)
      if (entry !== undefined) found.push(entry)
    }
    for (const entry of found.toSorted((a, b) => a.storedAt - b.storedAt)) add(entry)
  }
  const loaded = (): Promise<void> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }

  const commit = async (operations: readonly BatchOperation[]): Promise<void> => {
    if (operations.length === 0) return
    const written = store.batch(operations)
    writing.add(written)
    try {
      await written
    } catch (error) {
      // What stands there now is not known; the next call looks.
      loading = undefined
      throw error
    } finally {
      writing.delete(written)
    }
  }

  const expired = (): Entry[] => {
    const since = clock.now() - ttlMs
    const old: Entry[] = []
    for (const { entries } of callers.values())
      for (const entry of entries.values()) {
        if (entry.storedAt > since) break
        old.push(entry)
      }
    return old
  }
  const oldestOf = (shelf: Shelf | undefined): Entry | undefined => shelf?.entries.values().next().value
  const largest = (): Shelf | undefined => {
    let found: Shelf | undefined
    for (const shelf of callers.values()) if (shelf.bytes > (found?.bytes ?? -1)) found = shelf
    return found
  }

  return {
    async get(caller, id, options) {
      await loaded()
      const entry = callers.get(caller)?.entries.get(id)
      if (entry === undefined) return undefined
      if (entry.storedAt <= clock.now() - ttlMs) {
        await commit(drop(entry))
        return undefined
      }
      return store.get(keysOf(caller, id).value, options)
    },

    async put(caller, id, value) {
      if (value.length > Math.min(maxValueBytes, maxBytes)) return false
      await loaded()
      const entry: Entry = { caller, id, storedAt: clock.now(), bytes: value.length }
      const operations = [...expired(), entry].flatMap(drop)
      while ((callers.get(caller)?.entries.size ?? 0) >= maxPerCaller) {
        const oldest = oldestOf(callers.get(caller))
        if (oldest === undefined) break
        operations.push(...drop(oldest))
      }
      while (total + entry.bytes > maxBytes) {
        const oldest = oldestOf(largest())
        if (oldest === undefined) break
        operations.push(...drop(oldest))
      }
      add(entry)
      const keys = keysOf(caller, id)
      const note = JSON.stringify([caller, id, entry.storedAt, entry.bytes])
      await commit([
        ...operations,
        { type: 'put', key: keys.entry, value: encoder.encode(note) },
        { type: 'put', key: keys.value, value }
      ])
      return true
    },

    async delete(caller, id) {
      await loaded()
      const entry = callers.get(caller)?.entries.get(id)
      if (entry === undefined) return false
      const live = entry.storedAt > clock.now() - ttlMs
      await commit(drop(entry))
      return live
    }
  }
}

/** Undefined for what is none: somebody else's value harms nobody. */
function readEntry(value: Uint8Array): Entry | undefined {
  let note: unknown
  try {
    note = JSON.parse(decoder.decode(value))
  } catch {
    return undefined
  }
  if (!Array.isArray(note)) return undefined
  const [caller, id, storedAt, bytes]: unknown[] = note
  if (typeof caller !== 'string' || typeof id !== 'string') return undefined
  if (typeof storedAt !== 'number' || typeof bytes !== 'number') return undefined
  return { caller, id, storedAt, bytes }
}

import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { BatchOperation, CallOptions, KeyRange, KeyValueStore } from '@kwaai/interface'
import { folderUnusable, nodeError } from '../errors.ts'
import { lock } from '../model/file-lock.ts'
import { compareUtf8, inRange } from './key-order.ts'
import { maxRecordBytes, openLogFile, replaceLogFile, scanLog, type LogFile } from './log-file.ts'
import { encodeRecord, recordHeaderBytes, type LoggedOperation } from './log-records.ts'

/** What {@link createFileStore} is told. */
export interface FileStoreInit {
  /** The file. Its folder is made when something is kept. */
  path: string
  /** Bytes of all entries at most, 29 for each beside its key and value. Default 256 MiB; the file may take twice as many. */
  maxBytes?: number
  /** Entries at most. Default 400,000: their keys are held in memory. */
  maxEntries?: number
}

/** A store in a file; dispose of it to close the file. */
export interface FileStore extends KeyValueStore, AsyncDisposable {
  /** Writes the file anew without what was deleted or replaced, which stands in it until then. */
  compact(options?: CallOptions): Promise<void>
}

interface Place {
  offset: number
  length: number
}

const defaultMaxBytes = 256 * 2 ** 20
const defaultMaxEntries = 400_000
const maxKeyLength = 1_024
/** What an entry costs besides its key and value: a record's header and two lengths. */
const entryBytes = recordHeaderBytes + 9
/** A log is written anew when more than half of it, and more than this, is of no use any more. */
const minGarbageBytes = 1 << 20

/**
 * A key-value store in one file: a log of batches with their digests, of which only the keys are held in memory.
 * What is kept survives the end of the process at any moment, and several processes may use one file at once:
 * each sees what the others have kept.
 *
 * @throws (each call) A KwaaiError `ERR_NODE_FOLDER_UNUSABLE` where the file cannot be read or written,
 * `ERR_NODE_STORE_DAMAGED` where something else than this store has changed it, `ERR_NODE_STORE_FULL`.
 */
export function createFileStore(init: FileStoreInit): FileStore {
  const { path, maxBytes = defaultMaxBytes, maxEntries = defaultMaxEntries } = init
  let log: LogFile | undefined
  let end = 0
  let index = new Map<string, Place>()
  let heldBytes = 0
  let closed = false

  // One call at a time, so that none sees another half done.
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>, { signal }: CallOptions = {}): Promise<T> => {
    signal?.throwIfAborted()
    const result = queue.then(() => {
      signal?.throwIfAborted()
      if (closed) throw new Error(`Cannot use the store ${path}: it is closed`)
      return work()
    })
    queue = result.catch(() => undefined)
    return result.catch((error: unknown) => {
      throw folderUnusable(`keep anything in ${path}`, 'Give another --data-dir, or free some space', error)
    })
  }

  const sizeOf = (key: string, length: number): number => entryBytes + Buffer.byteLength(key) + length
  const take = (operations: readonly LoggedOperation[], offset: number): void => {
    for (const { key, value } of operations) {
      const before = index.get(key)
      if (before !== undefined) heldBytes -= sizeOf(key, before.length)
      if (value === undefined) index.delete(key)
      else {
        index.set(key, { offset: offset + value.offset, length: value.length })
        heldBytes += sizeOf(key, value.length)
      }
    }
  }
  const forget = async (): Promise<void> => {
    const old = log
    log = undefined
    end = 0
    index = new Map()
    heldBytes = 0
    await old?.retire()
  }

  /** Takes in what other processes wrote. @returns whether all of it could be read. */
  const readOn = async (): Promise<boolean> => {
    const found = await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (found === undefined) {
      await forget()
      return true
    }
    if (log === undefined || log.ino !== found.ino || Number(found.size) < end) {
      await forget()
      log = await openLogFile(path)
    }
    const scan = await scanLog(log, end, await log.size(), take)
    end = scan.end
    return !scan.damaged
  }
  const locked = async <T>(work: () => Promise<T>): Promise<T> => {
    const unlock = await lock(`${path}.lock`, { pollMs: 5 })
    try {
      return await work()
    } finally {
      await unlock()
    }
  }
  const damaged = (): Error =>
    nodeError(
      'ERR_NODE_STORE_DAMAGED',
      `Cannot read ${path}: it was changed by something else, or its disk is failing. ` +
        'Restore it from a copy, or move it away to start without what it kept'
    )
  const current = async (): Promise<void> => {
    if (await readOn()) return
    // Another process may just have cut a broken end; under the lock nobody does.
    const sound = await locked(async () => {
      await forget()
      return readOn()
    })
    if (!sound) throw damaged()
  }

  /** Throws where the store would hold more than it may. Deleting is always possible. */
  const checkRoom = (operations: readonly BatchOperation[]): void => {
    const lengths = new Map<string, number | undefined>()
    for (const operation of operations) {
      const { key } = operation
      if (/\p{Cs}/u.test(key) || Buffer.byteLength(key) > maxKeyLength) {
        throw new RangeError(`Cannot keep a key that is no text of up to ${maxKeyLength} bytes`)
      }
      lengths.set(key, operation.type === 'put' ? operation.value.length : undefined)
    }
    let bytes = heldBytes
    let entries = index.size
    for (const [key, length] of lengths) {
      const before = index.get(key)
      if (before !== undefined) bytes -= sizeOf(key, before.length)
      if (length !== undefined) bytes += sizeOf(key, length)
      entries += Number(length !== undefined) - Number(before !== undefined)
    }
    const grows = bytes > heldBytes || entries > index.size
    if (grows && (bytes > maxBytes || entries > maxEntries)) {
      throw nodeError(
        'ERR_NODE_STORE_FULL',
        `Cannot keep more in ${path}: it holds ${index.size} entries of ${heldBytes} bytes, and up to ` +
          `${maxEntries} of ${maxBytes} are allowed. Delete some`
      )
    }
  }

  const append = async (operations: readonly BatchOperation[]): Promise<void> => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await locked(async () => {
      if (!(await readOn())) throw damaged()
      checkRoom(operations)
      if (log === undefined) ({ log, size: end } = await replaceLogFile(path, nothing()))
      const record = encodeRecord(operations)
      if (record.bytes.length - recordHeaderBytes > maxRecordBytes) {
        throw new RangeError(
          `Cannot keep a batch of ${record.bytes.length} bytes: ${maxRecordBytes} is the most`
        )
      }
      // What a process left that ended while it wrote.
      if ((await log.size()) > end) await log.cut(end)
      try {
        await log.write(record.bytes, end)
      } catch (error) {
        await log.cut(end).catch(() => undefined)
        throw error
      }
      take(record.operations, end)
      end += record.bytes.length
      // The batch is kept; a log that cannot be shortened now is shortened later.
      if (end - heldBytes > heldBytes + minGarbageBytes) await shorten(log).catch(() => undefined)
    })
  }

  /** Writes what is still there into a new log. */
  const shorten = async (old: LogFile): Promise<void> => {
    const places = new Map<string, Place>()
    let at = 0
    async function* records(): AsyncGenerator<Uint8Array> {
      for (const [key, { offset, length }] of index) {
        const value = await old.read(offset, length)
        const { bytes, operations } = encodeRecord([{ type: 'put', key, value }])
        const place = operations[0]?.value
        if (place !== undefined) places.set(key, { offset: at + place.offset, length })
        at += bytes.length
        yield bytes
      }
    }
    const { log: shorter, size } = await replaceLogFile(path, records())
    const first = size - at
    index = new Map([...places].map(([key, { offset, length }]) => [key, { offset: first + offset, length }]))
    end = size
    log = shorter
    await old.retire()
  }

  const batch: KeyValueStore['batch'] = async (operations, options) => {
    // Copies, since the caller may change its arrays while this waits for its turn.
    const own = operations.map((operation) =>
      operation.type === 'put' ? { ...operation, value: operation.value.slice() } : { ...operation }
    )
    await inTurn(async () => (own.length === 0 ? undefined : append(own)), options)
  }

  async function* entries(range: KeyRange & CallOptions = {}): AsyncGenerator<[string, Uint8Array]> {
    const begun = await inTurn(async () => {
      await current()
      log?.use()
      const found = [...index].filter(([key]) => inRange(key, range))
      found.sort(([a], [b]) => compareUtf8(a, b))
      if (range.reverse === true) found.reverse()
      return { log, found: found.slice(0, range.limit) }
    }, range)
    try {
      for (const [key, { offset, length }] of begun.found) {
        range.signal?.throwIfAborted()
        if (begun.log !== undefined) yield [key, await begun.log.read(offset, length)]
      }
    } finally {
      await begun.log?.release()
    }
  }

  return {
    specification: 'kwaai.key-value-store/1',
    get: async (key, options) =>
      inTurn(async () => {
        await current()
        const place = index.get(key)
        return place === undefined ? undefined : log?.read(place.offset, place.length)
      }, options),
    put: (key, value, options) => batch([{ type: 'put', key, value }], options),
    delete: async (key, options) => {
      const there = await inTurn(async () => {
        await current()
        return index.has(key)
      }, options)
      if (there) await batch([{ type: 'delete', key }], options)
    },
    batch,
    entries,
    compact: (options) =>
      inTurn(async () => {
        await current()
        if (log === undefined) return
        await locked(async () => {
          if (!(await readOn())) throw damaged()
          if (log !== undefined) await shorten(log)
        })
      }, options),
    async [Symbol.asyncDispose]() {
      const last = queue
      closed = true
      await last
      await forget()
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  decodePayload,
  logMagic,
  payloadLength,
  recordHeaderBytes,
  type LoggedOperation
} from './log-records.ts'

/** Longest record that is read or written: what a batch may be at most. */
export const maxRecordBytes: number = 32 * 2 ** 20

/** An open log. It is closed once it is retired and nobody reads in it any more. */
export interface LogFile {
  /** Names the file on its disk: another one under the same path has another. */
  readonly ino: bigint
  size(): Promise<number>
  read(offset: number, length: number): Promise<Uint8Array>
  /** Writes at `position`, whatever stood there, and waits until the disk has it. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Cuts what stands behind `position`. */
  cut(position: number): Promise<void>
  /** Keeps it open until `release`. */
  use(): void
  release(): Promise<void>
  /** Not wanted any more. */
  retire(): Promise<void>
}

/** Opens a log that is there. */
export async function openLogFile(path: string): Promise<LogFile> {
  const file = await open(path, 'r+')
  try {
    return logFile(file, (await file.stat({ bigint: true })).ino)
  } catch (error) {
    await file.close()
    throw error
  }
}

function logFile(file: FileHandle, ino: bigint): LogFile {
  let users = 1
  const release = async (): Promise<void> => {
    users--
    if (users === 0) await file.close()
  }
  return {
    ino,
    size: async () => (await file.stat()).size,
    async read(offset, length) {
      const bytes = new Uint8Array(length)
      let at = 0
      while (at < length) {
        const { bytesRead } = await file.read(bytes, at, length - at, offset + at)
        if (bytesRead === 0) throw new RangeError(`The log ends at ${offset + at}, before ${offset + length}`)
        at += bytesRead
      }
      return bytes
    },
    async write(bytes, position) {
      await writeAll(file, bytes, position)
      await file.datasync()
    },
    async cut(position) {
      await file.truncate(position)
    },
    use: () => void users++,
    release,
    retire: release
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let at = 0
  while (at < bytes.length) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  }
}

const bufferBytes = 1 << 20

/**
 * Puts a log with these records into the place of the one at `path`, whole or not at all.
 *
 * @returns the new log, opened, and its length.
 */
export async function replaceLogFile(
  path: string,
  records: AsyncIterable<Uint8Array>
): Promise<{ log: LogFile; size: number }> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w+', 0o600)
  try {
    let pending: Uint8Array[] = [logMagic]
    let held = logMagic.length
    let size = 0
    const flush = async (): Promise<void> => {
      await writeAll(file, Buffer.concat(pending), size)
      size += held
      pending = []
      held = 0
    }
    for await (const record of records) {
      pending.push(record)
      held += record.length
      if (held >= bufferBytes) await flush()
    }
    await flush()
    await file.sync()
    await rename(temporary, path)
    await syncFolder(dirname(path))
    return { log: logFile(file, (await file.stat({ bigint: true })).ino), size }
  } catch (error) {
    await file.close()
    await rm(temporary, { force: true })
    throw error
  }
}

/** The new name is on the disk too. Some systems open no folders; their renames last without it. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}

/** What a walk over a log found. */
export interface LogScan {
  /** Where the last whole record ends. */
  end: number
  /** True where whole records follow a broken one, or something else than records: no crash leaves that. */
  damaged: boolean
}

/**
 * Reads the whole records from `start` to `size`. A broken one at the very end is what a process leaves that
 * ended while it wrote; nobody was told that it is kept.
 */
export async function scanLog(
  log: LogFile,
  start: number,
  size: number,
  onRecord: (operations: readonly LoggedOperation[], offset: number) => void
): Promise<LogScan> {
  let end = start
  if (end === 0) {
    const magic = size < logMagic.length ? undefined : await log.read(0, logMagic.length)
    if (magic === undefined || !logMagic.every((byte, at) => byte === magic[at]))
      return { end, damaged: true }
    end = logMagic.length
  }
  while (end + recordHeaderBytes <= size) {
    const header = await log.read(end, recordHeaderBytes)
    const length = payloadLength(header)
    if (length === undefined) return { end, damaged: !(await isZero(log, end + recordHeaderBytes, size)) }
    const next = end + recordHeaderBytes + length
    if (length > maxRecordBytes) return { end, damaged: true }
    if (next > size) break
    const operations = decodePayload(header, await log.read(end + recordHeaderBytes, length))
    if (operations === undefined) return { end, damaged: next < size }
    onRecord(operations, end)
    end = next
  }
  return { end, damaged: false }
}

/** A disk that lost power may have the length of a file and not yet what stands in it. */
async function isZero(log: LogFile, from: number, to: number): Promise<boolean> {
  for (let at = from; at < to; at += bufferBytes) {
    const bytes = await log.read(at, Math.min(bufferBytes, to - at))
    if (bytes.some((byte) => byte !== 0)) return false
  }
  return true
}

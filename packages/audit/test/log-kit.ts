import { createIdentity, type Identity } from '@kwaai/identity'
import type { KeyValueStore } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import {
  createAuditLog,
  createMemoryVault,
  type AuditLog,
  type AuditLogInit,
  type FileReader,
  type LogPolicy,
  type SubjectKeyVault
} from '../src/index.ts'

/** A log with what it is made of. */
export interface LogKit {
  log: AuditLog
  store: KeyValueStore
  keys: SubjectKeyVault
  clock: FakeClock
  signer: Identity
  policy: LogPolicy
}

/** The bytes of a text. */
export const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** A log whose time and randomness are the test's. */
export function logKit(
  init: AuditLogInit & {
    seed?: number
    store?: KeyValueStore
    keys?: SubjectKeyVault
    signer?: Identity
    onUnsigned?: (error: unknown) => void
  } = {}
): LogKit {
  const random = createSeededRandom(init.seed ?? 1)
  const clock = createFakeClock()
  const { store = createMemoryStore(), keys = createMemoryVault({ random }) } = init
  const signer = init.signer ?? createIdentity({}, { random })
  const options = {
    origin: init.origin ?? 'example.org/log',
    checkpointEntries: init.checkpointEntries ?? 64
  }
  const log = createAuditLog(options, {
    store,
    signer,
    clock,
    random,
    keys,
    ...(init.onUnsigned && { onUnsigned: init.onUnsigned })
  })
  const policy: LogPolicy = {
    origin: options.origin,
    key: { name: options.origin, type: 1, publicKey: signer.publicKey }
  }
  return { log, store, keys, clock, signer, policy }
}

/** The files of a log, in memory. */
export async function filesOf(log: AuditLog): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for await (const { path, bytes } of log.files()) files.set(path, bytes)
  return files
}

/** Reads files in memory. */
export function readerFrom(files: ReadonlyMap<string, Uint8Array>): FileReader {
  return async (path) => files.get(path)
}

/** All that a store holds, keys and values, as one array. */
export async function bytesOf(store: KeyValueStore): Promise<Uint8Array> {
  const parts: number[] = []
  for await (const [key, value] of store.entries()) parts.push(...text(key), ...value)
  return Uint8Array.from(parts)
}

/** All that comes. */
export async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of from) found.push(one)
  return found
}

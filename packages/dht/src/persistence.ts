import type { KeyValueStore } from '@kwaai/interface'
import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from './bytes.ts'
import { slotOf, type SignedRecord } from './record.ts'

/** Keeps a node's records over a restart. */
export interface Persistence {
  /** The envelopes kept, at most `limit`. */
  load(limit: number): Promise<Uint8Array[]>
  /** The record is held now. Written with the next {@link Persistence.flush}. */
  held(record: SignedRecord): void
  /** The record is forgotten. */
  forgotten(record: SignedRecord): void
  /** Writes what has changed, one batch after the other. */
  flush(): Promise<void>
}

const prefix = 'dht/record/'
const encoder = new TextEncoder()

function nameOf(record: SignedRecord): string {
  return prefix + toHex(sha256(encoder.encode(JSON.stringify([record.key, slotOf(record)]))))
}

/** Makes the persistence of records in a store; without one it keeps nothing. */
export function createPersistence(store: KeyValueStore | undefined): Persistence {
  if (store === undefined) {
    return {
      load: async () => [],
      held: () => undefined,
      forgotten: () => undefined,
      flush: async () => undefined
    }
  }
  // By name, so that it never outgrows the records held.
  let changes = new Map<string, Uint8Array | undefined>()
  let writing: Promise<void> = Promise.resolve()
  const write = async (): Promise<void> => {
    const batch = [...changes]
    changes = new Map()
    if (batch.length === 0) return
    try {
      await store.batch(
        batch.map(([key, value]) =>
          value === undefined ? { type: 'delete', key } : { type: 'put', key, value }
        )
      )
    } catch (error) {
      // Later changes are newer than those that failed.
      changes = new Map([...batch, ...changes])
      throw error
    }
  }
  return {
    load: async (limit) => {
      const found: Uint8Array[] = []
      for await (const [, value] of store.entries({ gte: prefix, lt: `${prefix}~`, limit })) found.push(value)
      return found
    },
    held: (record) => void changes.set(nameOf(record), record.envelope),
    forgotten: (record) => void changes.set(nameOf(record), undefined),
    flush: () => {
      writing = writing.then(write, write)
      return writing
    }
  }
}

import type { Clock, Did, RecordStore, StoredRecord } from '@kwaai/interface'

/** A place where stores of one test meet: what one puts, all see at once. */
export interface RecordBoard {
  /** The store of one signer. */
  store(signer: Did): RecordStore
  /** How often anybody read. */
  readonly reads: number
  /** Makes reads and watches fail, until called again with `false`. */
  fail(failing: boolean): void
}

export function createRecordBoard(clock: Clock): RecordBoard {
  const slots = new Map<string, StoredRecord>()
  const wakers = new Set<() => void>()
  let reads = 0
  let failing = false
  let sequence = 0

  const changed = (): void => {
    for (const wake of wakers) wake()
    wakers.clear()
  }
  const under = (key: string): StoredRecord[] => {
    reads++
    if (failing) throw new Error('The board is out of reach')
    return [...slots.values()].filter((record) => record.key === key && record.expiresAt > clock.now())
  }

  return {
    get reads() {
      return reads
    },
    fail(now) {
      failing = now
      changed()
    },
    store(signer) {
      const store: RecordStore = {
        specification: 'kwaai.record-store/1',
        start: async () => undefined,
        stop: async () => undefined,
        [Symbol.asyncDispose]: async () => undefined,
        async put({ key, subkey = '', value, ttlMs = 360_000 }) {
          const expiresAt = clock.now() + ttlMs
          const record = { key, subkey, signer, value: value.slice(), sequence: ++sequence, expiresAt }
          slots.set(JSON.stringify([key, subkey, signer]), record)
          changed()
          return { stored: 1, sequence, expiresAt }
        },
        get: async (key) => under(key),
        async *watch(key, { signal } = {}) {
          while (signal?.aborted !== true) {
            yield under(key)
            await new Promise<void>((resolve) => {
              wakers.add(resolve)
              signal?.addEventListener('abort', () => resolve(), { once: true })
            })
          }
        },
        async announce(record) {
          await store.put(record)
          return {
            refresh: (value) => store.put({ ...record, ...(value === undefined ? {} : { value }) }),
            stop: async () => {
              slots.delete(JSON.stringify([record.key, record.subkey ?? '', signer]))
              changed()
            }
          }
        }
      }
      return store
    }
  }
}

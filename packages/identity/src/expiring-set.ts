import type { CallOptions, Clock, KeyValueStore } from '@kwaai/interface'
import { concatBytes } from './bytes.ts'

/** Names that are remembered until a time, in a store. */
export interface ExpiringSet {
  /** Remembers a name; `known` where it was, `full` where there is no room and nothing may be forgotten. */
  add(
    name: string,
    exp: number,
    value: Uint8Array,
    options?: CallOptions
  ): Promise<'added' | 'known' | 'full'>
  get(name: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /** Gives what is remembered and forgets it: of several who ask one gets it. */
  take(name: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /** All of them, in no order. */
  entries(options?: CallOptions): AsyncIterable<[name: string, value: Uint8Array]>
}

// Before each value stands the second it is remembered until.
const expDigits = 12

// So many that are over are dropped with each that comes: more than one, so that room is made.
const sweepAtOnce = 64

function stamp(exp: number): string {
  return String(exp).padStart(expDigits, '0')
}

function expOf(kept: Uint8Array): number {
  return Number(new TextDecoder().decode(kept.subarray(0, expDigits)))
}

/**
 * Makes an {@link ExpiringSet}: each name under `<prefix>n/`, and under `<prefix>e/` by the second it is remembered
 * until, so that what is over is found without a look at the rest.
 */
export function createExpiringSet(
  { prefix, maxEntries }: { prefix: string; maxEntries: number },
  { store, clock }: { store: KeyValueStore; clock: Clock }
): ExpiringSet {
  const names = `${prefix}n/`
  const ends = `${prefix}e/`
  const endKey = (exp: number, name: string): string => `${ends}${stamp(exp)}/${name}`
  let count: number | undefined
  // One at a time: between the look and the write nobody else looks.
  let queue: Promise<unknown> = Promise.resolve()

  const walk = (options: CallOptions): AsyncIterable<[string, Uint8Array]> =>
    store.entries({ gte: names, lt: `${prefix}n0`, ...options })

  async function countAll(options: CallOptions): Promise<number> {
    let total = 0
    for await (const _ of walk({ ...options })) if (++total > maxEntries) break
    return total
  }

  async function sweep(options: CallOptions): Promise<void> {
    const now = Math.ceil(clock.now() / 1000)
    const over: string[] = []
    const range = { gte: ends, lt: endKey(Math.max(now, 0), ''), limit: sweepAtOnce, ...options }
    for await (const [key] of store.entries(range)) over.push(key)
    if (over.length === 0) return
    await store.batch(
      over.flatMap((key) => [
        { type: 'delete' as const, key },
        { type: 'delete' as const, key: names + key.slice(key.indexOf('/', ends.length) + 1) }
      ]),
      options
    )
    if (count !== undefined) count -= over.length
  }

  const holds = (kept: Uint8Array | undefined): kept is Uint8Array =>
    kept !== undefined && expOf(kept) >= clock.now() / 1000

  async function add(
    name: string,
    exp: number,
    value: Uint8Array,
    options: CallOptions
  ): Promise<'added' | 'known' | 'full'> {
    const kept = await store.get(names + name, options)
    if (holds(kept)) return 'known'
    if (kept !== undefined) await forget(name, expOf(kept), options)
    await sweep(options)
    // Another process may write here too: what is counted is trusted as long as there is room.
    if (count === undefined || count >= maxEntries) count = await countAll(options)
    if (count >= maxEntries) return 'full'
    await store.batch(
      [
        { type: 'put', key: names + name, value: concatBytes(new TextEncoder().encode(stamp(exp)), value) },
        { type: 'put', key: endKey(exp, name), value: new Uint8Array(0) }
      ],
      options
    )
    count++
    return 'added'
  }

  async function forget(name: string, exp: number, options: CallOptions): Promise<void> {
    await store.batch(
      [
        { type: 'delete', key: names + name },
        { type: 'delete', key: endKey(exp, name) }
      ],
      options
    )
    if (count !== undefined) count--
  }

  async function take(name: string, options: CallOptions): Promise<Uint8Array | undefined> {
    const kept = await store.get(names + name, options)
    if (kept === undefined) return undefined
    await forget(name, expOf(kept), options)
    return holds(kept) ? kept.slice(expDigits) : undefined
  }

  const inTurn = <T>(options: CallOptions, work: () => Promise<T>): Promise<T> => {
    const result = queue.then(() => {
      options.signal?.throwIfAborted()
      return work()
    })
    queue = result.catch(() => undefined)
    return result
  }

  return {
    add: (name, exp, value, options = {}) => inTurn(options, () => add(name, exp, value, options)),
    take: (name, options = {}) => inTurn(options, () => take(name, options)),
    async get(name, options) {
      const kept = await store.get(names + name, options)
      return holds(kept) ? kept.slice(expDigits) : undefined
    },
    async *entries(options = {}) {
      for await (const [key, kept] of walk(options)) {
        if (holds(kept)) yield [key.slice(names.length), kept.slice(expDigits)]
      }
    }
  }
}

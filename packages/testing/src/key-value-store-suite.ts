import type { KeyRange, KeyValueStore } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, type TestFunction } from './assert.ts'

/** How a suite gets the store it tests. */
export interface KeyValueStoreSuiteFactory {
  /** An empty store. */
  create(): Promise<KeyValueStore>
  /** Called after each test. */
  destroy?(store: KeyValueStore): Promise<void>
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** What every `KeyValueStore` has to do. */
export function keyValueStoreSuite(test: TestFunction, factory: KeyValueStoreSuiteFactory): void {
  const withStore = (name: string, run: (store: KeyValueStore) => Promise<void>): void => {
    test(`key-value store: ${name}`, async () => {
      const store = await factory.create()
      try {
        await run(store)
      } finally {
        await factory.destroy?.(store)
      }
    })
  }
  const keys = async (store: KeyValueStore, range: KeyRange = {}): Promise<string[]> => {
    const found: string[] = []
    for await (const [key] of store.entries(range)) found.push(key)
    return found
  }

  withStore('names its contract', async (store) => {
    assertEqual<string>(store.specification, 'kwaai.key-value-store/1', 'specification')
  })

  withStore('gives back what was put, and undefined for the rest', async (store) => {
    await store.put('a', bytes(1, 2, 3))
    assertEqual(await store.get('a'), bytes(1, 2, 3), 'value')
    assertEqual(await store.get('b'), undefined, 'missing value')
    await store.put('a', bytes())
    assertEqual(await store.get('a'), bytes(), 'empty value')
    await store.delete('a')
    await store.delete('a')
    assertEqual(await store.get('a'), undefined, 'deleted value')
  })

  withStore('gives plain byte arrays', async (store) => {
    await store.put('a', bytes(7))
    const value = await store.get('a')
    assert(
      value !== undefined && Object.getPrototypeOf(value) === Uint8Array.prototype,
      'not a plain Uint8Array'
    )
  })

  withStore('copies values in and out', async (store) => {
    const value = bytes(1)
    await store.put('a', value)
    value[0] = 9
    const first = await store.get('a')
    assertEqual(first, bytes(1), 'value after the original changed')
    assert(first !== undefined, 'value is missing')
    first[0] = 8
    assertEqual(await store.get('a'), bytes(1), 'value after the copy changed')
    for await (const [, walked] of store.entries()) walked[0] = 7
    assertEqual(await store.get('a'), bytes(1), 'value after the walked copy changed')
  })

  withStore('applies a batch in order', async (store) => {
    await store.put('gone', bytes(1))
    await store.batch([
      { type: 'put', key: 'a', value: bytes(1) },
      { type: 'put', key: 'a', value: bytes(2) },
      { type: 'put', key: 'b', value: bytes(3) },
      { type: 'delete', key: 'b' },
      { type: 'delete', key: 'gone' }
    ])
    assertEqual(await keys(store), ['a'], 'keys')
    assertEqual(await store.get('a'), bytes(2), 'value')
  })

  withStore('walks in the order of UTF-8 bytes', async (store) => {
    // U+FF5E comes before U+1F600 in UTF-8 and after it in UTF-16.
    const names = ['b', 'a', 'é', 'aa', '\u{1F600}', '\uFF5E', 'Z', 'a!']
    for (const name of names) await store.put(name, bytes(1))
    const wanted = ['Z', 'a', 'a!', 'aa', 'b', 'é', '\uFF5E', '\u{1F600}']
    assertEqual(await keys(store), wanted, 'order')
    assertEqual(await keys(store, { reverse: true }), wanted.toReversed(), 'reverse order')
  })

  withStore('keeps to bounds and limits', async (store) => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await store.put(name, bytes(1))
    const cases: [KeyRange, string[]][] = [
      [{ gte: 'b' }, ['b', 'c', 'd', 'e']],
      [{ gt: 'b' }, ['c', 'd', 'e']],
      [{ lte: 'b' }, ['a', 'b']],
      [{ lt: 'b' }, ['a']],
      [{ gte: 'b', lt: 'd' }, ['b', 'c']],
      [{ gt: 'x' }, []],
      [{ limit: 2 }, ['a', 'b']],
      [{ limit: 0 }, []],
      [{ limit: 2, reverse: true }, ['e', 'd']],
      [{ gte: 'b', lt: 'e', reverse: true, limit: 2 }, ['d', 'c']]
    ]
    for (const [range, wanted] of cases) {
      assertEqual(await keys(store, range), wanted, `keys of ${JSON.stringify(range)}`)
    }
  })

  withStore('walks what was there when the walk began', async (store) => {
    for (const name of ['a', 'b', 'c']) await store.put(name, bytes(1))
    const seen: string[] = []
    for await (const [key] of store.entries()) {
      seen.push(key)
      await store.delete('b')
      await store.put('d', bytes(1))
    }
    assertEqual(seen, ['a', 'b', 'c'], 'keys')
  })

  withStore('does nothing under an aborted signal', async (store) => {
    const reason = new Error('enough')
    const options = { signal: AbortSignal.abort(reason) }
    const calls: (() => Promise<unknown>)[] = [
      () => store.put('a', bytes(1), options),
      () => store.get('a', options),
      () => store.delete('a', options),
      () => store.batch([{ type: 'put', key: 'a', value: bytes(1) }], options),
      async () => {
        for await (const entry of store.entries(options)) throw new Error(`walked to ${entry[0]}`)
      }
    ]
    for (const call of calls)
      assert((await assertRejects(call(), 'aborted call')) === reason, 'another reason')
    assertEqual(await keys(store), [], 'keys')
  })
}

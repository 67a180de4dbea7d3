import type { BatchOperation, KeyValueStore } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock } from '@kwaai/testing'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCallerStore, type CallerStoreInit } from '../src/caller-store.ts'

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7)
const bounds: CallerStoreInit = {
  prefix: 'test',
  ttlMs: 1000,
  maxPerCaller: 3,
  maxValueBytes: 50,
  maxBytes: 100
}
const setup = (init: Partial<CallerStoreInit> = {}, store: KeyValueStore = createMemoryStore()) => {
  const clock = createFakeClock()
  return { clock, store, kept: createCallerStore({ ...bounds, ...init }, { store, clock }) }
}
const keys = async (store: KeyValueStore): Promise<string[]> => {
  const found: string[] = []
  for await (const [key] of store.entries()) found.push(key)
  return found
}

test('a value is there for its caller alone', async () => {
  const { kept } = setup()
  expect(await kept.put('alice', 'a', bytes(3))).toBe(true)
  expect(await kept.get('alice', 'a')).toEqual(bytes(3))
  expect(await kept.get('bob', 'a')).toBeUndefined()
  expect(await kept.delete('bob', 'a')).toBe(false)
  expect(await kept.delete('alice', 'a')).toBe(true)
  expect(await kept.get('alice', 'a')).toBeUndefined()
})

test('what is being written while another write fails is not forgotten', async () => {
  const inner = createMemoryStore()
  let resume = (): void => undefined
  const slow = new Promise<void>((resolve) => (resume = resolve))
  const batches = [slow, Promise.reject(new Error('no room'))]
  batches[1]?.catch(() => undefined)
  const store: KeyValueStore = {
    ...inner,
    async batch(operations) {
      await batches.shift()
      return inner.batch(operations)
    }
  }
  const { kept } = setup({}, store)
  const first = kept.put('alice', 'a', bytes(3))
  await expect(kept.put('alice', 'b', bytes(3))).rejects.toThrow('no room')
  const found = kept.get('alice', 'a')
  resume()
  expect(await first).toBe(true)
  expect(await found).toEqual(bytes(3))
  expect(await kept.get('alice', 'b')).toBeUndefined()
})

test('no name of a caller reaches the values of another', async () => {
  const { kept, store } = setup()
  for (const name of ['a', 'a/b', 'https://a.example', '', '\ud800', '../a', 'a%2Fb'])
    await kept.put(name, 'x', bytes(1))
  expect(await keys(store)).toHaveLength(14)
  expect((await keys(store)).every((key) => /^test\/(entry|value)\/[0-9a-f]*\/x$/.test(key))).toBe(true)
})

test('the oldest goes first, by number and by size', async () => {
  const { kept, store } = setup()
  for (const id of ['a', 'b', 'c', 'd']) await kept.put('alice', id, bytes(10))
  expect(await kept.get('alice', 'a')).toBeUndefined()
  expect(await kept.get('alice', 'b')).toEqual(bytes(10))
  // Bob is over the bound of all; Alice has most, so she gives.
  await kept.put('bob', 'x', bytes(50))
  await kept.put('bob', 'y', bytes(20))
  expect(await kept.get('bob', 'x')).toEqual(bytes(50))
  await kept.put('carol', 'z', bytes(25))
  expect(await kept.get('bob', 'x')).toBeUndefined()
  expect(await kept.get('carol', 'z')).toEqual(bytes(25))
  expect(await kept.put('alice', 'large', bytes(51))).toBe(false)
  expect((await keys(store)).length % 2).toBe(0)
})

test('a value put again takes its own place', async () => {
  const { kept, store } = setup()
  for (let times = 0; times < 5; times++) await kept.put('alice', 'a', bytes(40))
  expect(await keys(store)).toHaveLength(2)
  expect(await kept.put('alice', 'b', bytes(40))).toBe(true)
  expect(await kept.get('alice', 'a')).toEqual(bytes(40))
})

test('what is past its time is gone, from the store too', async () => {
  const { kept, store, clock } = setup()
  await kept.put('alice', 'a', bytes(1))
  await kept.put('alice', 'b', bytes(1))
  await clock.advance(999)
  expect(await kept.get('alice', 'a')).toEqual(bytes(1))
  await clock.advance(1)
  expect(await kept.get('alice', 'a')).toBeUndefined()
  expect(await kept.delete('alice', 'b')).toBe(false)
  expect(await keys(store)).toEqual([])
})

test('each change is one batch, and one that fails changes nothing', async () => {
  const store = createMemoryStore()
  const batches: (readonly BatchOperation[])[] = []
  let broken = false
  const { kept } = setup(
    { maxPerCaller: 1 },
    {
      ...store,
      put: () => Promise.reject(new Error('not in a batch')),
      delete: () => Promise.reject(new Error('not in a batch')),
      async batch(operations) {
        if (broken) throw new Error('full')
        batches.push(operations)
        await store.batch(operations)
      }
    }
  )
  await kept.put('alice', 'a', bytes(1))
  await kept.put('alice', 'b', bytes(1))
  expect(batches.map(({ length }) => length)).toEqual([2, 4])
  broken = true
  await expect(kept.put('alice', 'c', bytes(1))).rejects.toThrow('full')
  expect(await kept.get('alice', 'b')).toEqual(bytes(1))
  expect(await kept.get('alice', 'c')).toBeUndefined()
  await expect(kept.delete('alice', 'b')).rejects.toThrow('full')
  broken = false
  expect(await kept.delete('alice', 'b')).toBe(true)
})

test('what others left under its keys harms nothing', async () => {
  const store = createMemoryStore()
  const text = new TextEncoder()
  for (const [index, value] of ['{', 'null', '[]', '["a"]', '["a","b","c",1]', '5'].entries())
    await store.put(`test/entry/00/${index}`, text.encode(value))
  const { kept } = setup({}, store)
  expect(await kept.put('alice', 'a', bytes(1))).toBe(true)
  expect(await kept.get('alice', 'a')).toEqual(bytes(1))
})

test('its bounds hold whatever is done, and a new process finds the same', async () => {
  const step = fc.record({
    what: fc.constantFrom('put', 'delete', 'wait'),
    caller: fc.constantFrom('a', 'b', 'c'),
    id: fc.constantFrom('1', '2', '3', '4', '5'),
    size: fc.integer({ min: 0, max: 60 })
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { kept, store, clock } = setup()
      for (const { what, caller, id, size } of steps) {
        if (what === 'put') expect(await kept.put(caller, id, bytes(size))).toBe(size <= 50)
        else if (what === 'delete') await kept.delete(caller, id)
        else await clock.advance(size * 10)
      }
      let total = 0
      const counts: Record<string, number> = {}
      for await (const [key, value] of store.entries({ gte: 'test/value/', lt: 'test/value0' })) {
        total += value.length
        const caller = key.split('/')[2] ?? ''
        counts[caller] = (counts[caller] ?? 0) + 1
      }
      expect(total).toBeLessThanOrEqual(100)
      expect(Math.max(0, ...Object.values(counts))).toBeLessThanOrEqual(3)
      const again = createCallerStore(bounds, { store, clock })
      for (const caller of ['a', 'b', 'c'])
        for (const id of ['1', '2', '3', '4', '5'])
          expect(await again.get(caller, id)).toEqual(await kept.get(caller, id))
    }),
    { seed: 11, numRuns: 100 }
  )
})

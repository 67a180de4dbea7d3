import { createNetwork } from '@kwaai/network'
import { expect, test } from 'vitest'
import { createBoundedDatastore } from '../src/bounded-datastore.ts'

type Datastore = ReturnType<typeof createBoundedDatastore>
type Key = Parameters<Datastore['has']>[0]

// What the store asks of a key is its text.
const key = (name: string): Key => Object.assign(Object.create(null), { toString: () => name }) as Key
const bytes = (value: number): Uint8Array => Uint8Array.of(value)

async function all(store: Datastore, query: Parameters<Datastore['query']>[0]): Promise<string[]> {
  const found: string[] = []
  for await (const { key: name, value } of store.query(query)) found.push(`${name.toString()}=${value[0]}`)
  const keys: string[] = []
  const { prefix, offset, limit } = query
  const same = { ...(prefix && { prefix }), ...(offset && { offset }), ...(limit && { limit }) }
  for await (const name of store.queryKeys(same)) keys.push(name.toString())
  if (query.filters === undefined && query.orders === undefined) {
    expect(keys).toEqual(found.map((entry) => entry.split('=')[0]))
  }
  return found
}

test('it forgets what was written longest ago', async () => {
  const store = createBoundedDatastore(3)
  for (const [index, name] of ['/a', '/b', '/c'].entries()) await store.put(key(name), bytes(index))
  await store.put(key('/a'), bytes(9))
  await store.put(key('/d'), bytes(3))
  expect(await all(store, {})).toEqual(['/c=2', '/a=9', '/d=3'])
  expect(await store.has(key('/b'))).toBe(false)
  expect(() => store.get(key('/b'))).toThrow(expect.objectContaining({ name: 'NotFoundError' }))
  expect(await store.get(key('/a'))).toEqual(bytes(9))
})

test('with no room it holds nothing', async () => {
  const store = createBoundedDatastore(0)
  await store.put(key('/a'), bytes(1))
  expect(await all(store, {})).toEqual([])
})

test('it selects by prefix, filter, order, offset and limit', async () => {
  const store = createBoundedDatastore(10)
  for (const [index, name] of ['/p/a', '/p/b', '/q/c', '/p/d'].entries())
    await store.put(key(name), bytes(index))
  expect(await all(store, { prefix: '/p' })).toEqual(['/p/a=0', '/p/b=1', '/p/d=3'])
  expect(await all(store, { prefix: '/p', offset: 1, limit: 1 })).toEqual(['/p/b=1'])
  expect(await all(store, { filters: [({ value }) => (value[0] ?? 0) > 1] })).toEqual(['/q/c=2', '/p/d=3'])
  const orders: Parameters<Datastore['query']>[0]['orders'] = [
    (a, b) => ((a.value[0] ?? 0) < (b.value[0] ?? 0) ? 1 : -1)
  ]
  expect(await all(store, { prefix: '/p', orders })).toEqual(['/p/d=3', '/p/b=1', '/p/a=0'])
})

test('a batch is applied when it is committed', async () => {
  const store = createBoundedDatastore(10)
  await store.put(key('/a'), bytes(1))
  const batch = store.batch()
  batch.put(key('/b'), bytes(2))
  batch.delete(key('/a'))
  expect(await all(store, {})).toEqual(['/a=1'])
  await batch.commit()
  expect(await all(store, {})).toEqual(['/b=2'])
})

test('a host keeps the address of a peer in it, and dials by id when the connection is gone', async () => {
  await using a = createNetwork({ privateKey: new Uint8Array(32).fill(201) })
  await using b = createNetwork({ privateKey: new Uint8Array(32).fill(202) })
  await a.start()
  await b.start()
  await a.connect(b.addresses()[0] ?? '')
  await a.disconnect(b.peerId)
  expect(a.peers()).toEqual([])
  await a.connect(b.peerId)
  expect(a.peers()).toEqual([b.peerId])
})

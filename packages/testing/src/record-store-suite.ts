import type { Did, RecordInit, RecordStore, StoredRecord } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, type TestFunction } from './assert.ts'

/** Started record stores that hold records for each other. */
export interface RecordStoreFleet {
  readonly members: readonly {
    store: RecordStore
    /** Who signs its records. */
    did: Did
  }[]
  /** The time of their clock, in milliseconds since 1970 UTC. */
  now(): number
  /** Moves their clock on, and waits for what follows from it. */
  advance(ms: number): Promise<void>
  /** Called at the end of the test. */
  destroy(): Promise<void>
}

/** How a suite gets the stores it tests. */
export interface RecordStoreSuiteFactory {
  /** So many stores, started, each able to reach the others. */
  create(count: number): Promise<RecordStoreFleet>
}

const key = 'suite/key'
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** What every `RecordStore` has to do. */
export function recordStoreSuite(test: TestFunction, factory: RecordStoreSuiteFactory): void {
  type Members = readonly [RecordStoreFleet['members'][0], ...RecordStoreFleet['members'][0][]]
  const withStores = (
    count: number,
    name: string,
    run: (members: Members, fleet: RecordStoreFleet) => Promise<void>
  ): void => {
    test(`record store: ${name}`, async () => {
      const fleet = await factory.create(count)
      try {
        const [first, ...rest] = fleet.members
        assert(first, 'the factory makes at least one store')
        assertEqual(fleet.members.length, count, 'stores made')
        await run([first, ...rest], fleet)
      } finally {
        await fleet.destroy()
      }
    })
  }
  const last = (members: Members): Members[0] => members.at(-1) ?? members[0]
  const values = (records: readonly StoredRecord[]): number[][] => records.map(({ value }) => [...value])

  withStores(3, 'everybody finds what one has put, as it was put', async (members, fleet) => {
    const [writer] = members
    assertEqual<string>(writer.store.specification, 'kwaai.record-store/1', 'specification')
    const put = await writer.store.put({ key, subkey: 'a', value: bytes(1, 2), ttlMs: 60_000 })
    assert(put.stored >= 1, 'the own node is counted')
    assertEqual(put.expiresAt, fleet.now() + 60_000, 'expiry')
    const { sequence, expiresAt } = put
    const expected = { key, subkey: 'a', signer: writer.did, value: bytes(1, 2), sequence, expiresAt }
    for (const { store } of members) {
      const [found, ...more] = await store.get(key)
      assertEqual(more.length, 0, 'other records')
      assertEqual<unknown>({ ...found }, expected, 'record')
    }
    assertEqual(await last(members).store.get('suite/other'), [], 'another key')
  })

  withStores(1, 'a lone store answers itself', async ([{ store }]) => {
    assertEqual(await store.get(key), [], 'before')
    assertEqual((await store.put({ key, value: bytes(1) })).stored, 1, 'holders')
    assertEqual(values(await store.get(key)), [[1]], 'after')
  })

  withStores(3, 'signers and subkeys do not overwrite each other, and come in order', async (members) => {
    for (const [index, { store }] of members.entries()) {
      await store.put({ key, subkey: 'b', value: bytes(index, 2) })
      await store.put({ key, value: bytes(index, 0) })
      await store.put({ key, subkey: 'a', value: bytes(index, 1) })
    }
    const order = members
      .map(({ did }, index) => ({ did, index }))
      .toSorted((a, b) => (a.did < b.did ? -1 : 1))
    const expected = order.flatMap(({ index }) => [0, 1, 2].map((subkey) => [index, subkey]))
    for (const { store } of members) assertEqual(values(await store.get(key)), expected, 'records')
  })

  withStores(3, 'the later write of a slot wins, and its sequence is higher', async (members) => {
    const [{ store }] = members
    const first = await store.put({ key, value: bytes(1) })
    const second = await store.put({ key, value: bytes(2) })
    assert(second.sequence > first.sequence, 'the sequence grows')
    for (const member of members) assertEqual(values(await member.store.get(key)), [[2]], 'records')
  })

  withStores(3, 'an expired record is never handed out', async (members, fleet) => {
    await members[0].store.put({ key, value: bytes(1), ttlMs: 10_000 })
    await fleet.advance(9_000)
    for (const { store } of members) assertEqual((await store.get(key)).length, 1, 'records before')
    await fleet.advance(1_000)
    for (const { store } of members) assertEqual(await store.get(key), [], 'records after')
  })

  withStores(3, 'an announced record stays, changes on refresh and goes on stop', async (members, fleet) => {
    const announcement = await members[0].store.announce({ key, value: bytes(1) }, { intervalMs: 10_000 })
    for (let round = 0; round < 5; round++) {
      await fleet.advance(10_000)
      assertEqual(values(await last(members).store.get(key)), [[1]], `records in round ${round}`)
    }
    await announcement.refresh(bytes(2))
    assertEqual(values(await last(members).store.get(key)), [[2]], 'refreshed')
    await fleet.advance(40_000)
    assertEqual(values(await last(members).store.get(key)), [[2]], 'the new value is what is renewed')
    await announcement.stop()
    for (const { store } of members) assertEqual(await store.get(key), [], 'withdrawn')
    await fleet.advance(20_000)
    for (const { store } of members) assertEqual(await store.get(key), [], 'still withdrawn')
    await announcement.stop()
    await members[0].store.put({ key, value: bytes(3) })
    assertEqual(values(await last(members).store.get(key)), [[3]], 'the slot can be written again')
  })

  withStores(3, 'an announced record outlives two missed renewals, not three', async (members, fleet) => {
    await members[0].store.announce({ key, value: bytes(1) }, { intervalMs: 10_000 })
    await members[0].store.stop()
    await fleet.advance(29_000)
    assertEqual(values(await last(members).store.get(key)), [[1]], 'records before')
    await fleet.advance(1_000)
    for (const { store } of members.slice(1)) assertEqual(await store.get(key), [], 'records after')
  })

  withStores(2, 'a watcher sees what is there, what changes, and the end', async (members, fleet) => {
    const watching = new AbortController()
    const seen: number[][][] = []
    const watch = (async () => {
      const options = { intervalMs: 1_000, signal: watching.signal }
      for await (const records of last(members).store.watch(key, options)) seen.push(values(records))
    })()
    await fleet.advance(1_000)
    assertEqual(seen.at(-1), [], 'nothing yet')
    await members[0].store.put({ key, value: bytes(1), ttlMs: 10_000 })
    await fleet.advance(2_000)
    assertEqual(seen.at(-1), [[1]], 'put')
    const looks = seen.length
    await fleet.advance(3_000)
    assertEqual(seen.length, looks, 'what has not changed is not told again')
    await fleet.advance(10_000)
    assertEqual(seen.at(-1), [], 'expired')
    watching.abort(new Error('enough'))
    await watch
  })

  withStores(1, 'what is outside the limits is refused', async ([{ store }]) => {
    const value = bytes(1)
    const long = 'k'.repeat(257)
    const wrong: RecordInit[] = [
      { key: '', value },
      { key: long, value },
      { key: 'é'.repeat(129), value },
      { key, subkey: long, value },
      { key, value: new Uint8Array(16_385) },
      { key, value, ttlMs: 0 },
      { key, value, ttlMs: -1 },
      { key, value, ttlMs: 86_400_001 },
      { key, value, ttlMs: Number.NaN }
    ]
    for (const record of wrong) {
      await assertRejects(store.put(record), `put ${JSON.stringify(record).slice(0, 60)}`)
      await assertRejects(store.announce(record), `announce ${JSON.stringify(record).slice(0, 60)}`)
    }
    await assertRejects(store.get(''), 'get of an empty key')
    await store.put({
      key: 'k'.repeat(256),
      subkey: 's'.repeat(256),
      value: new Uint8Array(16_384),
      ttlMs: 86_400_000
    })
    assertEqual((await store.get('k'.repeat(256)))[0]?.value.length, 16_384, 'the largest record')
  })

  withStores(2, 'bytes are copied in and out', async (members) => {
    const given = bytes(1, 2, 3)
    const putting = members[0].store.put({ key, value: given })
    given.fill(0)
    await putting
    for (const { store } of members) {
      const [found] = await store.get(key)
      found?.value.fill(9)
      assertEqual(values(await store.get(key)), [[1, 2, 3]], 'value')
    }
  })

  withStores(2, 'an aborted call rejects with the reason', async ([{ store }]) => {
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    assertEqual(await assertRejects(store.put({ key, value: bytes(1) }, { signal }), 'put'), reason, 'put')
    assertEqual(await assertRejects(store.get(key, { signal }), 'get'), reason, 'get')
    assertEqual(
      await assertRejects(store.announce({ key, value: bytes(1) }, { signal }), 'announce'),
      reason,
      'announce'
    )
    assertEqual(await store.get(key), [], 'nothing was put')
  })

  withStores(2, 'start and stop may come twice, and a stopped store does nothing', async (members) => {
    const { store } = last(members)
    await store.start()
    await store.stop()
    await store.stop()
    await assertRejects(store.put({ key, value: bytes(1) }), 'put')
    await assertRejects(store.get(key), 'get')
    await members[0].store.put({ key, value: bytes(1) })
    await store.start()
    assertEqual(values(await store.get(key)), [[1]], 'started again')
  })
}

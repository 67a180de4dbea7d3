import type { KeyValueStore, StoredRecord } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, createMemoryStore } from '@kwaai/interface/memory'
import { afterEach, describe, expect, test } from 'vitest'
import { idOfKey, idOfPeer, compareDistance } from '../src/id.ts'
import { createDht, type DhtInit } from '../src/index.ts'
import { createFleet, read, text, type Fleet, type TestNode } from './fleet.ts'

const key = 'kwaai/model/abc'
let fleet: Fleet

afterEach(async () => {
  for (const node of fleet.nodes) await fleet.kill(node)
})

async function nodes(count: number, init: DhtInit = {}): Promise<[TestNode, ...TestNode[]]> {
  fleet = createFleet('dht')
  for (let i = 0; i < count; i++) {
    await fleet.add({ bootstrap: fleet.nodes[0]?.network.addresses() ?? [], ...init })
  }
  return fleet.nodes as [TestNode, ...TestNode[]]
}

const code = (name: string): unknown => expect.objectContaining({ code: name })

async function values(node: TestNode): Promise<string[]> {
  return (await fleet.during(node.dht.get(key))).map(({ value }) => read(value))
}

async function entries(store: KeyValueStore): Promise<number> {
  let count = 0
  for await (const _ of store.entries()) count += 1
  return count
}

describe('joining', () => {
  test('a node without a bootstrap is found by who connects to it', async () => {
    fleet = createFleet('dht')
    const lone = await fleet.add()
    await fleet.during(lone.dht.put({ key, value: text('early') }))
    const other = await fleet.add()
    expect(other.dht.peers()).toEqual([])
    await fleet.during(other.network.connect(lone.peerId))
    await fleet.clock.advance(0)
    expect(other.dht.peers()).toEqual([lone.peerId])
    expect(lone.dht.peers()).toEqual([other.peerId])
    expect(await values(other)).toEqual(['early'])
  })

  test('a bootstrap that comes later is found by trying again', async () => {
    fleet = createFleet('dht')
    const { identity, network } = await fleet.stranger('late')
    await network.stop()
    const early = await fleet.add({ bootstrap: [identity.peerId] })
    expect(early.dht.peers()).toEqual([])
    const late = await fleet.add({ name: 'late' })
    await fleet.clock.advance(20_000)
    expect(early.dht.peers()).toEqual([late.peerId])
  })

  test('addresses that are none, or lead nowhere, keep nobody from starting', async () => {
    const [node] = await nodes(1, { bootstrap: ['/nonsense', 'nobody', ''] })
    expect(node.dht.stats()).toEqual({ peers: 0, records: 0, recordBytes: 0 })
  })

  test('the peers closest to a key are found, closest first', async () => {
    const all = await nodes(10, { k: 3 })
    const [node] = all
    const target = idOfKey(key)
    const others = all.slice(1).map(({ peerId }) => peerId)
    const nearest = others.toSorted((a, b) => compareDistance(target, idOfPeer(a), idOfPeer(b))).slice(0, 3)
    expect(await fleet.during(node.dht.findPeers(key))).toEqual(nearest)
  })
})

describe('a record', () => {
  test('is held by the k closest and by its writer, and by nobody else', async () => {
    const all = await nodes(12, { k: 3 })
    const [writer] = all
    const { stored } = await fleet.during(writer.dht.put({ key, value: text('a') }))
    expect(stored).toBe(4)
    const target = idOfKey(key)
    const nearest = all
      .slice(1)
      .toSorted((a, b) => compareDistance(target, idOfPeer(a.peerId), idOfPeer(b.peerId)))
      .slice(0, 3)
    const holders = all.filter(({ dht }) => dht.stats().records === 1)
    expect(new Set(holders)).toEqual(new Set([writer, ...nearest]))
  })

  test('reaches a closer peer that came later with the next read', async () => {
    const all = await nodes(3, { k: 20 })
    const [writer, reader] = all as [TestNode, TestNode]
    await fleet.during(writer.dht.put({ key, value: text('a') }))
    const late = await fleet.add({ bootstrap: writer.network.addresses() })
    expect(late.dht.stats().records).toBe(0)
    await values(reader)
    await fleet.clock.advance(0)
    expect(late.dht.stats().records).toBe(1)
    await fleet.kill(writer)
    await fleet.kill(reader)
    expect(await values(late)).toEqual(['a'])
  })

  test('that is withdrawn is gone everywhere, and its place is forgotten after its time', async () => {
    const all = await nodes(4)
    const [writer] = all
    await fleet.during(writer.dht.put({ key, value: text('a'), ttlMs: 60_000 }))
    const { stored } = await fleet.during(writer.dht.withdraw({ key }))
    expect(stored).toBe(4)
    for (const node of all) expect(await values(node)).toEqual([])
    await fleet.clock.advance(90_000)
    for (const { dht } of all) expect(dht.stats()).toEqual({ peers: 3, records: 0, recordBytes: 0 })
  })

  test('expires and is swept though nobody asks for it', async () => {
    const all = await nodes(3)
    await fleet.during(all[0].dht.put({ key, value: text('a'), ttlMs: 1_000 }))
    await fleet.clock.advance(31_000)
    for (const { dht } of all) expect(dht.stats().records).toBe(0)
  })

  test('written by two calls at once ends as the later one, at all holders', async () => {
    const all = await nodes(4)
    const [{ dht }] = all
    await fleet.during(Promise.all([dht.put({ key, value: text('a') }), dht.put({ key, value: text('b') })]))
    for (const node of all) expect(await values(node)).toEqual(['b'])
  })
})

describe('a writer that starts anew', () => {
  test('goes on above the sequence its holders show, though its own clock was set back', async () => {
    const [a, b] = (await nodes(2)) as [TestNode, TestNode]
    const before = await fleet.during(a.dht.put({ key, value: text('before'), ttlMs: 86_400_000 }))
    await fleet.kill(a)
    // The same identity with a clock an hour behind.
    const { clock } = fleet
    const network = createMemoryNetwork(fleet.hub, { peerId: a.peerId })
    await network.start()
    const dht = createDht(
      { bootstrap: [b.peerId] },
      {
        network,
        identity: a.identity,
        clock: { ...clock, now: () => clock.now() - 3_600_000, sleep: clock.sleep }
      }
    )
    await fleet.during(dht.start())
    const after = await fleet.during(dht.put({ key, value: text('after'), ttlMs: 7_200_000 }))
    expect(after.sequence).toBe(before.sequence + 1)
    expect(await values(b)).toEqual(['after'])
    await fleet.during(dht.stop())
  })

  test('has its records again from its store, without those that expired, were swept or were spoilt', async () => {
    fleet = createFleet('dht')
    const store = createMemoryStore()
    const first = await fleet.add({ store, name: 'keeper' })
    await fleet.during(first.dht.put({ key, subkey: 'long', value: text('long'), ttlMs: 3_600_000 }))
    await fleet.during(first.dht.put({ key, subkey: 'short', value: text('short'), ttlMs: 10_000 }))
    await fleet.during(first.dht.put({ key, subkey: 'middle', value: text('middle'), ttlMs: 70_000 }))
    await fleet.clock.advance(30_000)
    expect(await entries(store)).toBe(2)
    await fleet.kill(first)
    await store.put('dht/record/spoilt', text('garbage'))
    await fleet.clock.advance(60_000)
    const second = await fleet.add({ store, name: 'keeper' })
    expect(await values(second)).toEqual(['long'])
    expect(second.dht.stats().records).toBe(1)
  })

  test('a store that fails costs no record', async () => {
    fleet = createFleet('dht')
    const memory = createMemoryStore()
    let broken = true
    const store: KeyValueStore = {
      ...memory,
      batch: async (operations) => {
        if (broken) throw new Error('the disk is full')
        return memory.batch(operations)
      }
    }
    const node = await fleet.add({ store })
    await fleet.during(node.dht.put({ key, value: text('a') }))
    await fleet.clock.advance(30_000)
    expect(await values(node)).toEqual(['a'])
    broken = false
    await fleet.clock.advance(30_000)
    expect(await entries(memory)).toBe(1)
  })
})

describe('watching', () => {
  test('wakes at once when the own node is handed a record, long before its next look', async () => {
    const [a, b] = (await nodes(2)) as [TestNode, TestNode]
    const watch = b.dht.watch(key, { intervalMs: 3_600_000 })[Symbol.asyncIterator]()
    expect((await watch.next()).value).toEqual([])
    const next = watch.next()
    await fleet.during(a.dht.put({ key, value: text('a') }))
    const records = (await next).value as StoredRecord[]
    expect(records.map(({ value }) => read(value))).toEqual(['a'])
    await watch.return?.()
  })

  test('ends when the node stops', async () => {
    const [node] = await nodes(1)
    const watch = node.dht.watch(key)[Symbol.asyncIterator]()
    await watch.next()
    const next = watch.next()
    await node.dht.stop()
    expect((await next).done).toBe(true)
  })
})

describe('announcing', () => {
  test('goes on through puts that fail, and ends with the node', async () => {
    const [a, b] = (await nodes(2)) as [TestNode, TestNode]
    await fleet.during(a.dht.announce({ key, value: text('a') }))
    fleet.hub.partition([a.peerId], [b.peerId])
    await fleet.clock.advance(200_000)
    fleet.hub.heal()
    await fleet.clock.advance(300_000)
    expect(await values(b)).toEqual(['a'])
    await fleet.during(a.dht.stop())
    await fleet.clock.advance(360_000)
    expect(await values(b)).toEqual([])
  })

  test('goes on after a renewal that could not even be signed', async () => {
    const [a] = await nodes(1)
    const { identity, network } = await fleet.stranger('locked')
    let locked = false
    const sign = (message: Uint8Array): Promise<Uint8Array> =>
      locked ? Promise.reject(new Error('the key is locked')) : identity.sign(message)
    const signer = { did: identity.did, publicKey: identity.publicKey, sign }
    const dht = createDht({ bootstrap: [a.peerId] }, { network, identity: signer, clock: fleet.clock })
    await fleet.during(dht.start())
    await fleet.during(dht.announce({ key, value: text('a') }))
    locked = true
    await fleet.clock.advance(250_000)
    locked = false
    await fleet.clock.advance(200_000)
    expect(await values(a)).toEqual(['a'])
    await fleet.during(dht.stop())
  })

  test('is not begun again after its end', async () => {
    const [node] = await nodes(1)
    const announcement = await fleet.during(node.dht.announce({ key, value: text('a') }))
    await fleet.during(announcement.stop())
    await expect(announcement.refresh()).rejects.toThrow(code('ERR_DHT_NOT_RUNNING'))
    await fleet.clock.advance(600_000)
    expect(await values(node)).toEqual([])
  })

  test.each([0, -1, Number.NaN, Infinity])('an interval of %d is refused', async (intervalMs) => {
    const [node] = await nodes(1)
    await expect(node.dht.announce({ key, value: text('a') }, { intervalMs })).rejects.toThrow(
      code('ERR_DHT_INVALID_OPTION')
    )
  })
})

describe('starting and stopping', () => {
  test('stopping leaves no sleeper, no handler and no task behind', async () => {
    const [a, b] = (await nodes(2)) as [TestNode, TestNode]
    await fleet.during(a.dht.announce({ key, value: text('a') }))
    await fleet.during(a.dht.stop())
    await fleet.during(b.dht.stop())
    expect(fleet.clock.sleeping).toBe(0)
    await expect(a.network.request(b.peerId, '/kwaai/dht/1.0.0', new Uint8Array())).rejects.toThrow(
      code('ERR_NETWORK_PROTOCOL_UNSUPPORTED')
    )
  })

  test('a stop while starting ends the start', async () => {
    fleet = createFleet('dht', { faults: true })
    const [first] = [await fleet.add()] as const
    fleet.faults.stall(first.peerId)
    const { identity, network } = await fleet.stranger('other')
    const dht = createDht({ bootstrap: [first.peerId] }, { network, identity, clock: fleet.clock })
    const starting = dht.start()
    starting.catch(() => undefined)
    await fleet.clock.advance(100)
    const stopping = dht.stop()
    await expect(fleet.during(starting)).rejects.toThrow(code('ERR_DHT_NOT_RUNNING'))
    await fleet.during(stopping)
    await expect(dht.get(key)).rejects.toThrow(code('ERR_DHT_NOT_RUNNING'))
    fleet.faults.resume(first.peerId)
    await fleet.during(dht.start())
    expect(dht.peers()).toEqual([first.peerId])
    await fleet.during(dht.stop())
  })

  test('an aborted start leaves nothing running', async () => {
    fleet = createFleet('dht')
    const { identity, network } = await fleet.stranger('other')
    const dht = createDht({}, { network, identity, clock: fleet.clock })
    const reason = new Error('enough')
    await expect(dht.start({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(dht.put({ key, value: text('a') })).rejects.toThrow(code('ERR_DHT_NOT_RUNNING'))
    expect(fleet.clock.sleeping).toBe(0)
    await dht.start()
    await dht[Symbol.asyncDispose]()
  })

  test('calls in progress end when the node stops', async () => {
    fleet = createFleet('dht', { faults: true })
    const first = await fleet.add()
    const second = await fleet.add({ bootstrap: [first.peerId] })
    fleet.faults.stall(first.peerId)
    const getting = second.dht.get(key)
    getting.catch(() => undefined)
    await fleet.clock.advance(10)
    await fleet.during(second.dht.stop())
    await expect(getting).rejects.toThrow(code('ERR_DHT_NOT_RUNNING'))
  })

  test.each<[string, DhtInit]>([
    ['k of 0', { k: 0 }],
    ['k of 65', { k: 65 }],
    ['k of 2.5', { k: 2.5 }],
    ['alpha of 0', { alpha: 0 }],
    ['a timeout of 0', { requestTimeoutMs: 0 }],
    ['an interval that is no number', { refreshIntervalMs: Number.NaN }],
    ['a quota of 0', { quotas: { perKey: 0 } }]
  ])('%s is refused', (_name, init) => {
    fleet = createFleet('dht')
    const peerId = 'someone'
    const network = createMemoryNetwork(createMemoryHub(), { peerId })
    const identity = { did: 'did:key:z', publicKey: new Uint8Array(32), sign: async () => new Uint8Array(64) }
    expect(() => createDht(init, { network, identity })).toThrow(code('ERR_DHT_INVALID_OPTION'))
  })
})

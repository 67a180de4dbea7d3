import type { Identity } from '@kwaai/identity'
import type { Network } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { DHT_PROTOCOL } from '../src/constants.ts'
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  type DhtRequest,
  type DhtResponse,
  type StoreOutcome
} from '../src/messages.ts'
import { openRecord, signRecord, type SignedRecord } from '../src/record.ts'
import { createFleet, read, text, type Fleet, type TestNode } from './fleet.ts'

const key = 'kwaai/model/abc'
const hour = 3_600_000
let fleet: Fleet

afterEach(async () => {
  for (const node of fleet.nodes) await fleet.kill(node)
})

async function nodes(
  count: number,
  init: { k?: number; faults?: boolean } = {}
): Promise<[TestNode, ...TestNode[]]> {
  fleet = createFleet('adversary', { faults: init.faults === true })
  for (let i = 0; i < count; i++) {
    await fleet.add({ k: init.k ?? 20, bootstrap: fleet.nodes[0]?.network.addresses() ?? [] })
  }
  return fleet.nodes as [TestNode, ...TestNode[]]
}

async function values(node: TestNode): Promise<string[]> {
  return (await fleet.during(node.dht.get(key))).map(({ value }) => read(value))
}

/** Sends a request as it stands, without a DHT's care. */
async function send(network: Network, to: TestNode, request: DhtRequest): Promise<DhtResponse> {
  return decodeResponse(await fleet.during(network.request(to.peerId, DHT_PROTOCOL, encodeRequest(request))))
}

async function store(
  network: Network,
  to: TestNode,
  ...envelopes: Uint8Array[]
): Promise<readonly StoreOutcome[]> {
  const response = await send(network, to, { type: 'store', records: envelopes })
  if (response.type !== 'stored') throw new Error(`not an answer to a store: ${response.type}`)
  return response.results
}

async function held(network: Network, by: TestNode): Promise<SignedRecord[]> {
  const response = await send(network, by, { type: 'findRecords', key, after: '' })
  if (response.type !== 'records') throw new Error(`not records: ${response.type}`)
  return Promise.all(response.records.map(openRecord))
}

function fields(changes: Partial<SignedRecord> = {}): SignedRecord {
  const now = fleet.clock.now()
  return {
    key,
    subkey: '',
    value: text('evil'),
    sequence: now,
    expiresAt: now + hour,
    withdrawn: false,
    signer: '',
    envelope: new Uint8Array(),
    ...changes
  }
}

describe('what a holder refuses', () => {
  test('a stale record played back, with the newer one as proof', async () => {
    const [a, b] = await nodes(2)
    const { network } = await fleet.stranger('mallory')
    await fleet.during(a.dht.put({ key, value: text('old') }))
    const [old] = await held(network, b as TestNode)
    await fleet.during(a.dht.put({ key, value: text('new') }))
    const [outcome] = await store(network, b as TestNode, (old as SignedRecord).envelope)
    expect(outcome?.stored).toBe(false)
    expect(read((await openRecord(outcome?.newer ?? new Uint8Array())).value)).toBe('new')
    expect(await values(b as TestNode)).toEqual(['new'])
  })

  test('a withdrawn record played back, for as long as it would have lived', async () => {
    const [a, b, c] = (await nodes(3)) as [TestNode, TestNode, TestNode]
    const { network } = await fleet.stranger('mallory')
    const announcement = await fleet.during(a.dht.announce({ key, value: text('gone'), ttlMs: hour }))
    const [old] = await held(network, b)
    await fleet.during(announcement.stop())
    for (let minutes = 0; minutes < 70; minutes += 10) {
      for (const node of [b, c]) {
        expect((await store(network, node, (old as SignedRecord).envelope))[0]?.stored).toBe(false)
        expect(await values(node)).toEqual([])
      }
      await fleet.clock.advance(600_000)
    }
    expect(b.dht.stats().records).toBe(0)
  })

  test('records that are forged, expired, too long-lived or garbage, while the good one beside them is held', async () => {
    const [a] = await nodes(1)
    const { network, identity } = await fleet.stranger('mallory')
    const now = fleet.clock.now()
    const good = await signRecord(identity, fields({ subkey: 'good' }))
    const forged = good.envelope.slice()
    forged[20] = (forged[20] as number) ^ 1
    const bad = [
      forged,
      good.envelope.slice(0, -1),
      text('garbage'),
      new Uint8Array(),
      (await signRecord(identity, fields({ expiresAt: now }))).envelope,
      (await signRecord(identity, fields({ expiresAt: now + 86_400_000 + 60_001 }))).envelope
    ]
    const outcomes = await store(network, a, ...bad, good.envelope)
    expect(outcomes.map(({ stored }) => stored)).toEqual([...bad.map(() => false), true])
    expect((await fleet.during(a.dht.get(key))).map(({ subkey }) => subkey)).toEqual(['good'])
  })

  test("another's slot: the signer is who signed, whatever the sequence", async () => {
    const [a] = await nodes(1)
    const { network, identity } = await fleet.stranger('mallory')
    await fleet.during(a.dht.put({ key, value: text('mine') }))
    await store(
      network,
      a,
      (await signRecord(identity, fields({ sequence: Number.MAX_SAFE_INTEGER }))).envelope
    )
    const found = await fleet.during(a.dht.get(key))
    expect(found.map(({ signer, value }) => [signer, read(value)]).toSorted()).toEqual(
      [
        [a.identity.did, 'mine'],
        [identity.did, 'evil']
      ].toSorted()
    )
  })

  test('requests that are garbage or too large end their own stream and nothing else', async () => {
    const [a, b] = (await nodes(2)) as [TestNode, TestNode]
    const { network } = await fleet.stranger('mallory')
    const random = createSeededRandom('garbage')
    for (let i = 0; i < 200; i++) {
      const bytes = random.bytes(1 + Math.floor(random.next() * 300))
      await fleet.during(network.request(a.peerId, DHT_PROTOCOL, bytes).catch(() => undefined))
    }
    await expect(network.request(a.peerId, DHT_PROTOCOL, new Uint8Array(262_145))).rejects.toThrow()
    await fleet.during(b.dht.put({ key, value: text('fine') }))
    expect(await values(a)).toEqual(['fine'])
  })

  test('more than its quotas allow, while what it holds is renewed', async () => {
    fleet = createFleet('quota')
    const quotas = { perKey: 10, perSigner: 8, bytesPerSigner: 10_000, total: 12, totalBytes: 20_000 }
    const node = await fleet.add({ quotas })
    await fleet.during(node.dht.put({ key, value: text('own') }))
    const flood = async (name: string, count: number, of = key): Promise<boolean[]> => {
      const { network, identity } = await fleet.stranger(name)
      const records = []
      for (let i = 0; i < count; i++) {
        records.push((await signRecord(identity, fields({ key: of, subkey: String(i) }))).envelope)
      }
      return (await store(network, node, ...records)).map(({ stored }) => stored)
    }
    const taken = (outcomes: boolean[]): number => outcomes.filter((stored) => stored).length
    expect(taken(await flood('m1', 20))).toBe(8)
    expect(taken(await flood('m2', 20))).toBe(1)
    expect(taken(await flood('m3', 20, 'another key'))).toBe(2)
    expect(node.dht.stats().records).toBe(12)
    await fleet.during(node.dht.put({ key, value: text('own, renewed') }))
    await expect(node.dht.put({ key: 'third', value: text('own') })).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_DHT_STORE_FULL' })
    )
  })
})

/** A peer whose answers to requests for records are not a DHT's. */
async function liar(
  name: string,
  answer: (request: DhtRequest, identity: Identity) => Promise<Uint8Array> | Uint8Array
): Promise<{ identity: Identity; network: Network }> {
  const stranger = await fleet.stranger(name)
  await stranger.network.handle(DHT_PROTOCOL, {
    onRequest: async (payload) => {
      const request = decodeRequest(payload)
      if (request.type === 'ping') return encodeResponse({ type: 'pong' })
      return answer(request, stranger.identity)
    }
  })
  return stranger
}

describe('one lying peer among six denies nothing', () => {
  const peers = Array.from({ length: 64 }, (_, i) => `invented${i}`)
  const records = (changes: Partial<Extract<DhtResponse, { type: 'records' }>>): Uint8Array =>
    encodeResponse({ type: 'records', records: [], next: '', closer: [], ...changes })

  const lies: [string, (request: DhtRequest, identity: Identity) => Promise<Uint8Array> | Uint8Array][] = [
    ['garbage', () => text('garbage')],
    ['an empty frame', () => new Uint8Array()],
    ['an oversized frame', () => new Uint8Array(300_000)],
    ['no answer but an error', () => Promise.reject(new Error('no'))],
    ['the answer to another question', () => encodeResponse({ type: 'pong' })],
    [
      'ten thousand peers',
      () => encodeResponse({ type: 'peers', peers: Array.from({ length: 10_000 }, (_, i) => `p${i}`) })
    ],
    [
      'peers who do not exist',
      ({ type }) =>
        type === 'findRecords' ? records({ closer: peers }) : encodeResponse({ type: 'peers', peers })
    ],
    [
      'that it stored, while it holds nothing',
      ({ type }) =>
        type === 'store' ? encodeResponse({ type: 'stored', results: [{ stored: true }] }) : records({})
    ],
    ['a record that is garbage', () => records({ records: [text('garbage')] })],
    [
      'pages without end',
      ({ type }) =>
        type === 'findRecords' ? records({ next: 'zzz' }) : encodeResponse({ type: 'peers', peers: [] })
    ],
    [
      'a record of another key',
      async (_request, identity) =>
        records({ records: [(await signRecord(identity, fields({ key: 'other' }))).envelope] })
    ],
    [
      'an expired record',
      async (_request, identity) =>
        records({
          records: [(await signRecord(identity, fields({ expiresAt: fleet.clock.now() }))).envelope]
        })
    ],
    [
      'a forged newer version',
      async () => {
        const [writer] = fleet.nodes as [TestNode]
        const { envelope } = await signRecord(writer.identity, fields({ sequence: Number.MAX_SAFE_INTEGER }))
        envelope[12] = (envelope[12] as number) ^ 1
        return records({ records: [envelope] })
      }
    ]
  ]

  test.each(lies)('which answers %s', async (_name, answer) => {
    const all = await nodes(6, { k: 4 })
    const evil = await liar('liar', answer)
    for (const node of all) await fleet.during(evil.network.connect(node.peerId).catch(() => undefined))
    await fleet.clock.advance(1000)
    const [writer] = all
    const announcement = await fleet.during(writer.dht.announce({ key, value: text('true') }))
    for (const node of all) expect(await values(node)).toEqual(['true'])
    await fleet.clock.advance(240_000)
    for (const node of all) expect(await values(node)).toEqual(['true'])
    await fleet.during(announcement.stop())
    for (const node of all) expect(await values(node)).toEqual([])
  })

  test('which hangs: it costs a timeout once, then it is left alone', async () => {
    const all = await nodes(6, { k: 4, faults: true })
    const [writer, reader, hung] = all as [TestNode, TestNode, TestNode]
    await fleet.during(writer.dht.put({ key, value: text('true') }))
    fleet.faults.stall(hung.peerId)
    expect(await values(reader)).toEqual(['true'])
    const before = fleet.clock.now()
    expect(await values(reader)).toEqual(['true'])
    expect(fleet.clock.now() - before).toBeLessThan(5_000)
    fleet.faults.resume(hung.peerId)
  })

  test('which shows a newer version that is not of the own slot moves no sequence', async () => {
    const all = await nodes(3)
    const evil = await liar('liar', async ({ type }, identity) => {
      const newer = await signRecord(identity, fields({ sequence: Number.MAX_SAFE_INTEGER }))
      if (type === 'store')
        return encodeResponse({ type: 'stored', results: [{ stored: false, newer: newer.envelope }] })
      return type === 'findRecords' ? records({}) : encodeResponse({ type: 'peers', peers: [] })
    })
    for (const node of all) await fleet.during(evil.network.connect(node.peerId))
    const { sequence, stored } = await fleet.during(all[0].dht.put({ key, value: text('a') }))
    expect(sequence).toBe(fleet.clock.now())
    expect(stored).toBe(3)
  })

  test('which hands out an older version is given the newer one', async () => {
    const all = await nodes(6, { k: 8 })
    const [writer, reader] = all as [TestNode, TestNode]
    let offered = 0
    const old = await signRecord(writer.identity, { ...fields({ value: text('old') }), sequence: 1 })
    const evil = await liar('liar', ({ type }) => {
      if (type === 'store') offered += 1
      return type === 'findRecords'
        ? records({ records: [old.envelope] })
        : encodeResponse({ type: 'peers', peers: [] })
    })
    for (const node of all) await fleet.during(evil.network.connect(node.peerId))
    await fleet.during(writer.dht.put({ key, value: text('new') }))
    offered = 0
    expect(await values(reader)).toEqual(['new'])
    await fleet.clock.advance(0)
    expect(offered).toBe(1)
    // Not with every read: a holder that refuses would be told for ever.
    expect(await values(reader)).toEqual(['new'])
    await fleet.clock.advance(0)
    expect(offered).toBe(1)
  })
})

test('a peer that only asks, and answers nothing, enters no table', async () => {
  const [a] = await nodes(1)
  const { network } = await fleet.stranger('asker')
  for (let i = 0; i < 5; i++) await send(network, a, { type: 'findPeers', target: new Uint8Array(32) })
  await fleet.clock.advance(0)
  expect(a.dht.peers()).toEqual([])
  await fleet.clock.advance(30_000)
  expect(a.dht.peers()).toEqual([])
})

test('pages of a key with many records come whole', async () => {
  const [a, b] = (await nodes(2)) as [TestNode, TestNode]
  const { network, identity } = await fleet.stranger('writer')
  for (let i = 0; i < 200; i++) {
    const value = new Uint8Array(i % 20 === 0 ? 16_000 : 40).fill(i)
    await store(
      network,
      a,
      (await signRecord(identity, fields({ subkey: String(i).padStart(3, '0'), value }))).envelope
    )
  }
  const found = await fleet.during(b.dht.get(key))
  expect(found.map(({ subkey }) => Number(subkey))).toEqual(Array.from({ length: 200 }, (_, i) => i))
})

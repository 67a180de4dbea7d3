import { createIdentity } from '@kwaai/identity'
import { KwaaiError, type Network, type Outcome } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, type MemoryHub } from '@kwaai/interface/memory'
import {
  createFakeClock,
  createFaults,
  createSeededRandom,
  macrotask,
  type ControlledFaults,
  type FakeClock
} from '@kwaai/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  advertKey,
  createAdvertiser,
  createChainSource,
  decodeAdvert,
  encodeAdvert,
  type ChainSource,
  type ChainSourceInit
} from '../src/route/index.ts'
import { createBlockServer, type BlockServer, type BlockServerInit } from '../src/session/index.ts'
import { createRecordBoard, type RecordBoard } from './record-board.ts'
import {
  alone,
  codeOf,
  createFakeRunner,
  hiddenSize,
  modelHash,
  numericsClass,
  rowsOf
} from './session-kit.ts'

let clock: FakeClock
let hub: MemoryHub
let faults: ControlledFaults
let board: RecordBoard
let client: Network
let source: ChainSource
const outcomes: Outcome[] = []
const closing: (() => Promise<void>)[] = []

const member = async (seed: number): Promise<{ network: Network; did: string }> => {
  const { did, peerId } = createIdentity({ seed: new Uint8Array(32).fill(seed) })
  const network = createMemoryNetwork(hub, { peerId })
  await network.start()
  closing.push(() => network.stop())
  return { network, did }
}

const sourceOf = (init: Partial<ChainSourceInit> = {}): ChainSource => {
  const made = createChainSource(
    { modelHash, blockCount: 6, hiddenSize, openTimeoutMs: 100, ...init },
    {
      network: client,
      records: board.store('did:key:client'),
      clock,
      random: createSeededRandom(1),
      evidence: { record: (outcome) => void outcomes.push(outcome) }
    }
  )
  closing.push(() => made.stop())
  return made
}

interface Served {
  peer: string
  did: string
  server: BlockServer
  withdraw(): Promise<void>
}

const serve = async (
  seed: number,
  from: number,
  to: number,
  init: Partial<BlockServerInit> = {}
): Promise<Served> => {
  const { network, did } = await member(seed)
  const server = createBlockServer(
    { modelHash, numericsClass, measure: false, ...init },
    {
      network,
      runner: createFakeRunner({ from, to, blockCount: 6 }),
      clock,
      random: createSeededRandom(seed)
    }
  )
  await server.start()
  const advertiser = createAdvertiser({ refreshMs: 1000 }, { records: board.store(did), server, clock })
  await advertiser.start()
  closing.push(() => advertiser.stop())
  return { peer: network.peerId, did, server, withdraw: () => advertiser.stop() }
}

beforeEach(async () => {
  clock = createFakeClock()
  faults = createFaults({}, { clock, random: createSeededRandom(1) })
  hub = createMemoryHub({ clock, faults })
  board = createRecordBoard(clock)
  client = (await member(99)).network
  source = sourceOf()
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  outcomes.length = 0
})

describe('a source', () => {
  test('finds who announces, opens a chain, and follows who comes and goes', async () => {
    await source.start()
    expect(source.ready()).toBe(false)
    const first = await serve(1, 0, 3)
    await macrotask()
    expect(source.ready()).toBe(false)
    expect(source.plan().problem).toBe('the chain has no server for blocks 3 to 5')
    const second = await serve(2, 3, 6)
    await macrotask()
    expect(source.ready()).toBe(true)
    const chain = await source.open({ maxTokens: 16 })
    expect(chain.chain).toEqual([
      { peer: first.peer, from: 0, to: 3, numericsClass },
      { peer: second.peer, from: 3, to: 6, numericsClass }
    ])
    const step = { past: 0, hidden: rowsOf(4, 1), kernel: 'vec' as const }
    expect(await chain.forward({ ...step, result: 'all' })).toEqual((await alone(6, [step]))[0])
    await chain[Symbol.asyncDispose]()
    expect(outcomes).toMatchObject([
      { subject: first.did, context: 'shard/forward', kind: 'success', measures: { steps: 1, rows: 4 } },
      { subject: second.did, kind: 'success' }
    ])
    await second.withdraw()
    await macrotask()
    expect(source.ready()).toBe(false)
  })

  test('looks by itself when it is asked before it has heard anything', async () => {
    await serve(1, 0, 6)
    const chain = await source.open({ maxTokens: 16 })
    expect(chain.chain).toHaveLength(1)
    await chain[Symbol.asyncDispose]()
  })

  test('says why there is no chain, and when to come again', async () => {
    await serve(1, 0, 2)
    const other = await serve(3, 4, 6, { maxTokens: 10 })
    const error = await source.open({ maxTokens: 16 }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'ERR_MODEL_UNAVAILABLE',
      message:
        'Cannot open the session: the chain has no server for blocks 2 to 5; ' +
        'one of blocks 4 to 5 is left out: Its sessions hold 10 tokens and 16 are needed',
      details: { retryAfterMs: 5000 }
    })
    expect(KwaaiError.is(error) && error.details['reasons']).toContainEqual({
      peer: other.peer,
      from: 4,
      to: 6,
      reason: 'Its sessions hold 10 tokens and 16 are needed'
    })
    // Asking again and again does not read again and again.
    const { reads } = board
    for (let i = 0; i < 5; i++) await codeOf(source.open({ maxTokens: 16 }))
    expect(board.reads).toBe(reads)
  })

  test('opens the next best chain when a server of the best is dead, and leaves that one out for a while', async () => {
    const best = await serve(1, 0, 6)
    const left = await serve(2, 0, 3)
    const right = await serve(3, 3, 6)
    await source.start()
    await macrotask()
    hub.kill(best.peer)
    const chain = await source.open({ maxTokens: 16 })
    expect(chain.chain.map((hop) => hop.peer)).toEqual([left.peer, right.peer])
    expect(outcomes).toMatchObject([{ subject: best.did, kind: 'failure' }])
    expect(source.plan().explain.find((verdict) => verdict.advert.peer === best.peer)?.reason).toMatch(
      /^It is left out for [23] s more: ERR_SHARD_HOP_FAILED/
    )
    await clock.advance(2500)
    expect(source.plan().plan?.hops[0]?.peer).toBe(best.peer)
    // It fails again and is left out for longer.
    const again = await source.open({ maxTokens: 16 })
    expect(again.chain).toHaveLength(2)
    await clock.advance(2500)
    expect(source.plan().plan?.hops[0]?.peer).toBe(left.peer)
    await clock.advance(2500)
    expect(source.plan().plan?.hops[0]?.peer).toBe(best.peer)
    await chain[Symbol.asyncDispose]()
    await again[Symbol.asyncDispose]()
  })

  test('leaves out a server that hangs at the opening', async () => {
    const servers = [await serve(1, 0, 6), await serve(2, 0, 6)]
    await source.start()
    await macrotask()
    const hung = source.plan().plan?.hops[0]?.peer as string
    faults.stall(hung)
    const opening = source.open({ maxTokens: 16 })
    await clock.advance(100)
    const other = servers.find((server) => server.peer !== hung)
    expect((await opening).chain.map((hop) => hop.peer)).toEqual([other?.peer])
  })

  test('leaves out a server that dies during a session, and does not praise it', async () => {
    const only = await serve(1, 0, 6)
    await source.start()
    await macrotask()
    const chain = await source.open({ maxTokens: 16 })
    await chain.forward({ past: 0, hidden: rowsOf(1, 1), kernel: 'vec', result: 'all' })
    hub.kill(only.peer)
    const code = codeOf(chain.forward({ past: 1, hidden: rowsOf(1, 1), kernel: 'vec', result: 'all' }))
    expect(await code).toBe('ERR_SHARD_HOP_FAILED')
    await chain[Symbol.asyncDispose]()
    expect(outcomes.map(({ kind }) => kind)).toEqual(['failure'])
    expect(source.ready()).toBe(false)
  })

  test('waits as long as a full server says, and does not hold it against it', async () => {
    await serve(1, 0, 6, { maxSessions: 1 })
    await source.start()
    await macrotask()
    const chain = await source.open({ maxTokens: 16 })
    const error = await source.open({ maxTokens: 16 }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ERR_MODEL_UNAVAILABLE' })
    const retryAfterMs = KwaaiError.is(error) ? Number(error.details['retryAfterMs']) : 0
    expect(retryAfterMs).toBeGreaterThanOrEqual(1000)
    expect(retryAfterMs).toBeLessThanOrEqual(2000)
    expect(outcomes).toEqual([])
    await chain[Symbol.asyncDispose]()
    await clock.advance(retryAfterMs)
    const next = await source.open({ maxTokens: 16 })
    await next[Symbol.asyncDispose]()
  })

  test('gives up after so many chains', async () => {
    for (const seed of [1, 2, 3]) hub.kill((await serve(seed, 0, 6)).peer)
    source = sourceOf({ maxAttempts: 2 })
    const error = await source.open({ maxTokens: 16 }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'ERR_MODEL_UNAVAILABLE',
      message: expect.stringMatching(
        /^Cannot open the session: 2 chains failed, the last one so: .* is not reached/
      )
    })
    expect(outcomes).toHaveLength(2)
  })

  test('knows a server that is not what it says', async () => {
    const { network, did } = await member(5)
    const advert = {
      peer: network.peerId,
      from: 0,
      to: 6,
      blockCount: 6,
      numericsClass,
      maxTokens: 100,
      freeTokens: 100,
      tokensPerSecond: 1,
      queuedSteps: 0,
      price: 0
    }
    const server = createBlockServer(
      { modelHash, numericsClass, measure: false },
      {
        network,
        runner: createFakeRunner({ from: 1, to: 6, blockCount: 6 }),
        clock,
        random: createSeededRandom(5)
      }
    )
    await server.start()
    closing.push(() => server.stop())
    await board.store(did).put({ key: advertKey(modelHash), value: encodeAdvert(advert) })
    expect(await codeOf(source.open({ maxTokens: 16 }))).toBe('ERR_MODEL_UNAVAILABLE')
    expect(outcomes).toMatchObject([{ subject: did, kind: 'violation' }])
  })

  test('reads no advert that speaks for another peer, and none that is malformed', async () => {
    const { did } = await member(5)
    const { network } = await member(6)
    const advert = {
      peer: network.peerId,
      from: 0,
      to: 6,
      blockCount: 6,
      numericsClass,
      maxTokens: 100,
      freeTokens: 100,
      tokensPerSecond: 1,
      queuedSteps: 0,
      price: 0
    }
    await board.store(did).put({ key: advertKey(modelHash), value: encodeAdvert(advert) })
    await board.store(did).put({ key: advertKey(modelHash), subkey: 'x', value: Uint8Array.of(1, 2) })
    await source.start()
    await macrotask()
    expect(source.adverts()).toEqual([])
  })

  test('goes on when the record store fails for a while', async () => {
    await source.start()
    await macrotask()
    board.fail(true)
    await macrotask()
    expect(await codeOf(source.open({ maxTokens: 16 }))).toBe('ERR_MODEL_UNAVAILABLE')
    board.fail(false)
    await serve(1, 0, 6)
    await clock.advance(1000)
    expect(source.ready()).toBe(true)
  })

  test('ends an opening with the signal’s reason', async () => {
    const { peer } = await serve(1, 0, 6)
    await source.start()
    await macrotask()
    faults.stall(peer)
    const aborting = new AbortController()
    const code = codeOf(source.open({ maxTokens: 16 }, { signal: aborting.signal }))
    await macrotask()
    aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
    expect(await code).toBe('ERR_TEST')
    expect(outcomes).toEqual([])
  })
})

describe('an advertiser', () => {
  test('tells what changed when it changed, and withdraws at the end', async () => {
    const { withdraw, did } = await serve(1, 0, 6, { maxKvBytes: 100_000 })
    const records = board.store('did:key:reader')
    const read = async (): Promise<[number, number]> => {
      const [record] = await records.get(advertKey(modelHash))
      return [record!.sequence, decodeAdvert(record!.value).freeTokens]
    }
    const [first] = await records.get(advertKey(modelHash))
    expect(first).toMatchObject({ signer: did, subkey: '0-6' })
    expect(await read()).toEqual([first!.sequence, 1000])
    await clock.advance(5000)
    expect(await read()).toEqual([first!.sequence, 1000])
    const chain = await source.open({ maxTokens: 200 })
    await clock.advance(1000)
    expect(await read()).toEqual([first!.sequence + 1, 800])
    await chain[Symbol.asyncDispose]()
    await withdraw()
    expect(await records.get(advertKey(modelHash))).toEqual([])
  })
})

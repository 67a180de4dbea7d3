import { KwaaiError, type Outcome } from '@kwaai/interface'
import type { MemoryHub } from '@kwaai/interface/memory'
import { createSeededRandom, macrotask, type ControlledFaults, type FakeClock } from '@kwaai/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  advertKey,
  createAdvertiser,
  decodeAdvert,
  encodeAdvert,
  type ChainSource
} from '../src/route/index.ts'
import { createBlockServer } from '../src/session/index.ts'
import type { RecordBoard } from './record-board.ts'
import { createRouteStage, type RouteStage } from './route-kit.ts'
import { alone, codeOf, createFakeRunner, modelHash, numericsClass, rowsOf } from './session-kit.ts'

let stage: RouteStage
let clock: FakeClock
let hub: MemoryHub
let faults: ControlledFaults
let board: RecordBoard
let source: ChainSource
let outcomes: Outcome[]
let serve: RouteStage['serve']
let member: RouteStage['member']

beforeEach(async () => {
  stage = await createRouteStage()
  ;({ clock, hub, faults, board, outcomes, serve, member } = stage)
  source = stage.sourceOf()
})
afterEach(() => stage.stop())

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
    source = stage.sourceOf({ stepTimeoutMs: 8_000, rowTimeoutMs: 0 })
    await source.start()
    await macrotask()
    const chain = await source.open({ maxTokens: 16 })
    await chain.forward({ past: 0, hidden: rowsOf(1, 1), kernel: 'vec', result: 'all' })
    hub.kill(only.peer)
    const code = codeOf(chain.forward({ past: 1, hidden: rowsOf(1, 1), kernel: 'vec', result: 'all' }))
    // It looks for others for as long as the step has, and tries the dead one once more.
    await clock.advance(6000)
    expect(await code).toBe('ERR_SHARD_HOP_FAILED')
    await chain[Symbol.asyncDispose]()
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['failure']))
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
    expect(retryAfterMs).toBeGreaterThan(0)
    expect(outcomes).toEqual([])
    await chain[Symbol.asyncDispose]()
    await clock.advance(retryAfterMs)
    const next = await source.open({ maxTokens: 16 })
    await next[Symbol.asyncDispose]()
  })

  test('gives up after so many chains', async () => {
    for (const seed of [1, 2, 3]) hub.kill((await serve(seed, 0, 6)).peer)
    source = stage.sourceOf({ maxAttempts: 2 })
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
    stage.closing.push(() => server.stop())
    await board.store(did).put({ key: advertKey(modelHash), value: encodeAdvert(advert) })
    source = stage.sourceOf({ maxWaitMs: 0 })
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
  /** What is told now: how often it was told anew, and the free room. */
  const read = async (): Promise<{ sequence: number; freeTokens: number } | undefined> => {
    const [record] = await board.store('did:key:reader').get(advertKey(modelHash))
    return record && { sequence: record.sequence, freeTokens: decodeAdvert(record.value).freeTokens }
  }

  test('tells what changed when it looks, and withdraws at the end', async () => {
    const { withdraw, did, server } = await serve(1, 0, 6, { maxKvBytes: 100_000 })
    const [record] = await board.store('did:key:reader').get(advertKey(modelHash))
    expect(record).toMatchObject({ signer: did, subkey: '0-6' })
    const first = await read()
    expect(first?.freeTokens).toBeCloseTo(server.stats().freeTokens, -2)
    await clock.advance(5000)
    expect(await read()).toEqual(first)
    const chain = await source.open({ maxTokens: 200 })
    await clock.advance(1000)
    const second = await read()
    expect(second?.sequence).toBe((first?.sequence ?? 0) + 1)
    expect(second?.freeTokens).toBeLessThan(first?.freeTokens ?? 0)
    await chain[Symbol.asyncDispose]()
    await withdraw()
    expect(await read()).toBeUndefined()
  })

  test('tells at once that room is short, gone or back, and all else when it looks', async () => {
    const { server } = await serve(1, 0, 3)
    const { did } = await member(2)
    let freeTokens = 1000
    const advertiser = createAdvertiser(
      {},
      {
        records: board.store(did),
        server: { ...server, stats: () => ({ ...server.stats(), from: 3, to: 6, freeTokens }) },
        clock
      }
    )
    await advertiser.start()
    stage.closing.push(() => advertiser.stop())
    let first = 0
    const told = async (): Promise<[number, number]> => {
      const records = await board.store('did:key:reader').get(advertKey(modelHash))
      const record = records.find(({ signer }) => signer === did)
      return [(record?.sequence ?? NaN) - first, decodeAdvert(record?.value ?? new Uint8Array()).freeTokens]
    }
    const after = async (free: number, ms: number): Promise<[number, number]> => {
      freeTokens = free
      await clock.advance(ms)
      return told()
    }
    ;[first] = await told()
    // A fifth less is no news that hurries, nor is the rest of it.
    expect(await after(800, 4000)).toEqual([0, 1000])
    expect(await after(300, 2000)).toEqual([0, 1000])
    expect(await after(240, 2000)).toEqual([1, 240])
    expect(await after(150, 2000)).toEqual([1, 240])
    expect(await after(0, 2000)).toEqual([2, 0])
    expect(await after(900, 2000)).toEqual([3, 900])
    // Many changes within two seconds are told once.
    for (const free of [0, 900, 0, 900, 100]) await after(free, 300)
    expect(await after(100, 500)).toEqual([4, 100])
    // More room after little is told when it looks at everything.
    expect(await after(900, 2000)).toEqual([4, 100])
    expect(await after(900, 30_000)).toEqual([5, 900])
    expect(await after(900, 90_000)).toEqual([5, 900])
  })

  test('withdraws a server that drains', async () => {
    const { server } = await serve(1, 0, 6)
    expect(await read()).toBeDefined()
    const drained = server.drain()
    await clock.advance(2000)
    expect(await read()).toBeUndefined()
    await clock.advance(60_000)
    await drained
  })

  test('tells how far the servers are that come next, and plans use it', async () => {
    const [first] = [
      await serve(1, 0, 3, {}, { knowsNext: true }),
      await serve(2, 3, 6, {}, { knowsNext: true }),
      await serve(3, 0, 3, {}, { knowsNext: true })
    ]
    faults.settings.latencyMs = 5
    const star = stage.sourceOf({ topology: 'star' })
    for (const one of [source, star]) await one.start()
    await clock.advance(4000)
    const records = await board.store('did:key:reader').get(advertKey(modelHash))
    const adverts = records.map((record) => decodeAdvert(record.value))
    const next = adverts.find(({ peer }) => peer === first?.peer)?.nextMs
    expect(next).toEqual({ [adverts.find(({ from }) => from === 3)?.peer ?? '']: 10 })
    expect(adverts.find(({ from }) => from === 3)?.nextMs).toBeUndefined()
    // Half a round trip from server to server in the place of a way home and out again.
    expect((star.plan().latencyMs ?? NaN) - (source.plan().latencyMs ?? NaN)).toBeCloseTo(5)
  })
})

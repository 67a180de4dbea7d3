import { KwaaiError, type Outcome } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { createBreaker, type Advert, type Breaker } from '../src/route/index.ts'
import { createRoomMemory, type RoomMemory } from '../src/route/room.ts'
import { createRouteSession, type RouteSession, type RouteSessionInit } from '../src/route/route-session.ts'
import type { ReplacementRequest } from '../src/session/replacement.ts'

// Servers for a session that runs already: what the chain asks for when one of its servers is lost.

const modelHash = 'ab'.repeat(32)
const advertOf = (peer: string, from: number, to: number, more: Partial<Advert> = {}): Advert => ({
  peer,
  from,
  to,
  blockCount: 6,
  numericsClass: 'one',
  maxTokens: 256,
  freeTokens: 256,
  tokensPerSecond: 100,
  queuedSteps: 0,
  price: 0,
  region: 'eu',
  ...more
})

let clock: FakeClock
let breaker: Breaker
let room: RoomMemory
let adverts: Advert[]
/** What the next look into the record store finds. */
let unseen: Advert[]
let looks: number
let outcomes: (Pick<Outcome, 'kind'> & { peer: string })[]
beforeEach(() => {
  clock = createFakeClock()
  breaker = createBreaker(clock, createSeededRandom(1))
  room = createRoomMemory(clock)
  adverts = [advertOf('a', 0, 2), advertOf('b', 2, 4), advertOf('c', 4, 6)]
  unseen = []
  looks = 0
  outcomes = []
})

const begin = async (init: Partial<RouteSessionInit> = {}): Promise<RouteSession> => {
  const session = createRouteSession(
    { maxTokens: 64, constraints: {}, ...init },
    {
      breaker,
      room,
      adverts: () => adverts,
      facts: () => ({ modelHash, blockCount: 6, rttMs: () => 10 }),
      find: async () => undefined,
      look: async () => {
        looks++
        adverts = [...adverts, ...unseen.splice(0)]
        return true
      },
      record: (peer, { kind }) => void outcomes.push({ peer, kind })
    }
  )
  const { hops } = await session.plan({})
  expect(hops?.map(({ peer }) => peer)).toEqual(['a', 'b', 'c'])
  return session
}
const request = (more: Partial<ReplacementRequest> = {}): ReplacementRequest => ({
  from: 2,
  to: 4,
  maxTokens: 64,
  numericsClass: 'one',
  excluded: new Set(['b']),
  approximate: false,
  ...more
})
const lost = new KwaaiError('ERR_SHARD_HOP_FAILED', 'Cannot run step 3: b (blocks 2 to 3) went away')
const replaced = async (session: RouteSession, more: Partial<ReplacementRequest> = {}): Promise<string> => {
  const found = await session.planner.replace(request(more))
  return 'problem' in found
    ? found.problem
    : found.hops.map(({ peer, from, to }) => `${peer} ${from}-${to}`).join(' ')
}

describe('blocks that lost their server', () => {
  test('go to one or several that cover exactly these', async () => {
    const session = await begin()
    adverts.push(advertOf('wide', 2, 6), advertOf('d', 2, 3), advertOf('e', 3, 4), advertOf('whole', 0, 6))
    session.planner.failed({ peer: 'b', from: 2, to: 4 }, lost)
    expect(await replaced(session)).toBe('d 2-3 e 3-4')
    adverts.push(advertOf('f', 2, 4))
    expect(await replaced(session)).toBe('f 2-4')
    // Any range: two neighbours, the rest, all of it.
    expect(await replaced(session, { from: 2, to: 6, excluded: new Set(['b', 'c']) })).toBe('wide 2-6')
    expect(await replaced(session, { from: 0, to: 6 })).toBe('whole 0-6')
    expect(looks).toBe(0)
    expect(outcomes).toEqual([{ peer: 'b', kind: 'failure' }])
  })

  test('never go to a peer that is excluded, held back, full, or of another class', async () => {
    const session = await begin()
    adverts.push(
      advertOf('held', 2, 4),
      advertOf('full', 2, 4, { freeTokens: 63 }),
      advertOf('other', 2, 4, { numericsClass: 'two', tokensPerSecond: 1000 })
    )
    breaker.take('held')?.failed('It hung')
    expect(await replaced(session)).toMatch(/^the chain has no server for blocks 2 to 3/)
    expect(await replaced(session, { approximate: true })).toBe('other 2-4')
    adverts.push(advertOf('same', 2, 4))
    expect(await replaced(session, { approximate: true })).toBe('same 2-4')
    expect(await replaced(session)).toBe('same 2-4')
    expect(await replaced(session, { excluded: new Set(['b', 'same']) })).toMatch(/^the chain has no server/)
  })

  test('meet the constraints of the session, those of the whole chain with it', async () => {
    const session = await begin({ constraints: { region: 'eu', maxLatencyMs: 66, relax: ['numericsClass'] } })
    adverts.push(
      advertOf('us', 2, 4, { region: 'us' }),
      advertOf('slow', 2, 4, { tokensPerSecond: 20 }),
      advertOf('two', 2, 4, { numericsClass: 'two' })
    )
    // The others take 40 ms: 26 are left, and this one takes 60.
    expect(await replaced(session)).toBe(
      'the quickest chain takes 100 ms a token, and at most 66 are allowed'
    )
    adverts.push(advertOf('quick', 2, 4, { tokensPerSecond: 90 }))
    expect(await replaced(session)).toBe('quick 2-4')
  })

  test('are looked for in the record store once, where nobody is known', async () => {
    const session = await begin()
    expect(await replaced(session)).toMatch(/^the chain has no server/)
    expect(looks).toBe(1)
    unseen = [advertOf('new', 2, 4)]
    expect(await replaced(session)).toBe('new 2-4')
    expect(looks).toBe(2)
  })

  test('that make no sense are a problem, no exception; the signal is one', async () => {
    const session = await begin()
    expect(await replaced(session, { from: 4, to: 2 })).toBe(
      'Cannot plan the chain: 4 to 2 are no blocks of the model'
    )
    const aborting = new AbortController()
    const found = createRouteSession(
      { maxTokens: 1, constraints: {} },
      {
        breaker,
        room,
        adverts: () => adverts,
        facts: () => ({ modelHash, blockCount: 6 }),
        find: async () => undefined,
        look: async ({ signal }) => {
          aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
          signal?.throwIfAborted()
          return true
        },
        record: () => undefined
      }
    ).planner.replace(request(), { signal: aborting.signal })
    await expect(found).rejects.toMatchObject({ code: 'ERR_TEST' })
  })

  test('may go back to a peer of the session that is being tried again', async () => {
    breaker.take('b')?.failed('It hung')
    await clock.advance(3000)
    const session = await begin()
    expect(breaker.reason('b')).toMatch(/^Another request tries it/)
    expect(await replaced(session, { excluded: new Set() })).toBe('b 2-4')
    const stranger = createRouteSession(
      { maxTokens: 64, constraints: {} },
      {
        breaker,
        room,
        adverts: () => adverts,
        facts: () => ({ modelHash, blockCount: 6 }),
        find: async () => undefined,
        look: async () => false,
        record: () => undefined
      }
    )
    expect((await stranger.plan({})).hops).toBeUndefined()
    session.release()
    expect((await stranger.plan({})).hops).toBeDefined()
  })
})

describe('a server that failed', () => {
  test.each([
    ['ERR_SHARD_HOP_FAILED', 'failure', 'open'],
    ['ERR_SHARD_INVALID_RESULT', 'violation', 'open'],
    ['ERR_SHARD_RANGE_MISMATCH', 'violation', 'open'],
    ['ERR_SHARD_DRAINING', undefined, 'open'],
    ['ERR_SHARD_SESSION_EXPIRED', undefined, 'closed']
  ] as const)('with %s is held to be %s, and %s', async (code, kind, state) => {
    const session = await begin()
    const hop = { peer: 'b', from: 2, to: 4 }
    session.planner.failed(hop, new KwaaiError(code, 'x'))
    session.planner.failed(hop, new KwaaiError(code, 'x'))
    expect(outcomes).toEqual(kind === undefined ? [] : [{ peer: 'b', kind }])
    expect(breaker.state('b')).toBe(state)
  })

  test('because it is full is left alone as long as it said, by requests that are no smaller', async () => {
    const session = await begin()
    session.planner.failed(
      { peer: 'b', from: 2, to: 4 },
      new KwaaiError('ERR_SHARD_SERVER_FULL', 'x', { details: { retryAfterMs: 700 } })
    )
    expect(breaker.state('b')).toBe('closed')
    expect(room.nextMs()).toBe(700)
    expect(outcomes).toEqual([])
    const nobody = { excluded: new Set<string>() }
    expect(await replaced(session, nobody)).toMatch(/^the chain has no server/)
    expect(room.reason('b', 64)).toBe('It is full for 1 s more: ERR_SHARD_SERVER_FULL x')
    expect(session.hopeful(1000)).toBe(false)
    const small = await begin({ maxTokens: 63 })
    expect(await replaced(small, { ...nobody, maxTokens: 63 })).toBe('b 2-4')
    await clock.advance(700)
    expect(room.nextMs()).toBeUndefined()
    expect(await replaced(session, nobody)).toBe('b 2-4')
  })

  test('because it is overloaded waits as long as it said', async () => {
    const session = await begin()
    session.planner.failed(
      { peer: 'b', from: 2, to: 4 },
      new KwaaiError('ERR_SHARD_OVERLOADED', 'x', { details: { retryAfterMs: 700 } })
    )
    expect(breaker.nextMs('b')).toBe(700)
    expect(outcomes).toEqual([])
  })

  test('leaves hope while it may be tried in time, or somebody tries it', async () => {
    const session = await begin()
    session.planner.failed({ peer: 'b', from: 2, to: 4 }, lost)
    const leftMs = breaker.nextMs('b') ?? 0
    expect([session.hopeful(leftMs - 1), session.hopeful(leftMs)]).toEqual([false, true])
    await clock.advance(leftMs)
    expect(breaker.take('b')?.probing()).toBe(true)
    expect(session.hopeful(1)).toBe(true)
    adverts = adverts.filter(({ peer }) => peer !== 'b')
    expect(session.hopeful(1)).toBe(false)
  })

  test('is known by the name in the error, if it is one of the session', async () => {
    const session = await begin()
    const named = (peer: string): KwaaiError => new KwaaiError('ERR_X', 'x', { details: { peer } })
    expect(session.blame(named('z'))).toBe(false)
    expect(session.blame(new Error('x'))).toBe(false)
    expect(session.blame(named('b'))).toBe(true)
    expect([breaker.state('z'), breaker.state('b')]).toEqual(['closed', 'open'])
  })
})

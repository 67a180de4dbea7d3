// Openings for which there are servers that are only left out for a moment, or tried by another request.
import { KwaaiError } from '@kwaai/interface'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ChainSource, RoutedChain } from '../src/route/index.ts'
import { createOpeningLine } from '../src/route/opening-line.ts'
import { createRouteStage, type RouteStage, type Served } from './route-kit.ts'
import { codeOf, rowsOf } from './session-kit.ts'

let stage: RouteStage
let source: ChainSource
let only: Served

beforeEach(async () => {
  stage = await createRouteStage()
  only = await stage.serve(1, 0, 6, { refreshMs: 1e6 })
  source = stage.sourceOf()
  await source.start()
  await macrotask()
})
afterEach(() => stage.stop())

const step = { past: 0, hidden: rowsOf(1, 1), kernel: 'vec', result: 'all' } as const
const openings = (count: number): Promise<RoutedChain>[] =>
  Array.from({ length: count }, () => source.open({ maxTokens: 16 }))

/** An opening, and when it came to an end: `undefined` while it has not. */
const watched = (opening: Promise<RoutedChain>): { code: Promise<string>; endedAt: number | undefined } => {
  const seen = { code: codeOf(opening), endedAt: undefined as number | undefined }
  const ended = (): void => void (seen.endedAt = stage.clock.monotonic())
  opening.then(ended, ended)
  return seen
}

/** An opening that its caller gives up after a while. */
const giveUpAfter = async (ms: number): Promise<void> => {
  const aborting = new AbortController()
  const code = codeOf(source.open({ maxTokens: 16 }, { signal: aborting.signal }))
  await stage.clock.advance(ms)
  aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
  expect(await code).toBe('ERR_TEST')
}

/** The only server fails one opening, which does not wait, and works again; its back-off goes on for 2 s. */
const fail = async (): Promise<void> => {
  stage.faults.stall(only.peer)
  await giveUpAfter(100)
  stage.faults.resume(only.peer)
}

describe('an opening', () => {
  test('waits for the end of a back-off', async () => {
    stage.faults.stall(only.peer)
    const opening = source.open({ maxTokens: 16 })
    const seen = watched(opening)
    await stage.clock.advance(1000)
    stage.faults.resume(only.peer)
    await stage.clock.advance(1000)
    expect(seen.endedAt).toBeUndefined()
    await stage.clock.advance(700)
    const chain = await opening
    expect(seen.endedAt).toBeGreaterThanOrEqual(2100)
    expect((await chain.forward(step)).length).toBe(step.hidden.length)
    await chain[Symbol.asyncDispose]()
  })

  test('waits for what comes of the attempt of another one, and goes on at once when that is good', async () => {
    await fail()
    await stage.clock.advance(2500)
    const all = openings(8)
    const seen = all.map(watched)
    await macrotask()
    const opened = seen.filter(({ endedAt }) => endedAt !== undefined)
    expect(opened).toHaveLength(1)
    await stage.clock.advance(1000)
    expect(seen.filter(({ endedAt }) => endedAt !== undefined)).toHaveLength(1)
    const probe = await Promise.race(all)
    await probe.forward(step)
    const now = stage.clock.monotonic()
    const chains = await Promise.all(all)
    expect(stage.clock.monotonic()).toBe(now)
    for (const chain of chains) await chain[Symbol.asyncDispose]()
  })

  test('goes on with the next attempt where that was bad, one at a time', async () => {
    await fail()
    await stage.clock.advance(2500)
    const before = stage.outcomes.length
    stage.faults.stall(only.peer)
    const seen = openings(4).map(watched)
    // The first one fails after 100 ms, and then nobody may try it for 4 s and a bit.
    await stage.clock.advance(100)
    stage.faults.resume(only.peer)
    await stage.clock.advance(4000)
    expect(seen.map(({ endedAt }) => endedAt)).toEqual(seen.map(() => undefined))
    await stage.clock.advance(850)
    expect(stage.outcomes.slice(before).map(({ kind }) => kind)).toEqual(['failure'])
    expect(only.server.stats().sessions).toBe(1)
    expect(seen.filter(({ endedAt }) => endedAt !== undefined)).toHaveLength(1)
    await stage.clock.advance(50)
    const codes = await Promise.all(seen.map(({ code }) => code))
    expect(codes.toSorted()).toEqual([...codes.slice(1).map(() => 'ERR_MODEL_UNAVAILABLE'), 'no error'])
  })

  test('is refused after 5 s where the attempt of another one has come to nothing yet', async () => {
    await fail()
    await stage.clock.advance(2500)
    const [probe] = openings(1)
    await macrotask()
    const begun = stage.clock.monotonic()
    const refused = source.open({ maxTokens: 16 })
    const seen = watched(refused)
    await stage.clock.advance(6000)
    expect(seen.endedAt).toBe(begun + 5000)
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_MODEL_UNAVAILABLE',
      details: {
        retryAfterMs: 5000,
        reasons: [{ peer: only.peer, reason: expect.stringMatching(/^Another request tries it again now/) }]
      }
    })
    await (await probe)?.[Symbol.asyncDispose]()
  })

  test('is refused as soon as nobody can be back in time', async () => {
    stage.hub.kill(only.peer)
    const refused = source.open({ maxTokens: 16 })
    const seen = watched(refused)
    await stage.clock.advance(5000)
    // It was tried again after 2 s, and is now left out for longer than what is left.
    expect(seen.endedAt).toBeGreaterThanOrEqual(2000)
    expect(seen.endedAt).toBeLessThan(2600)
    await expect(refused).rejects.toMatchObject({ code: 'ERR_MODEL_UNAVAILABLE' })
    expect(stage.outcomes.map(({ kind }) => kind)).toEqual(['failure', 'failure'])
  })

  test('takes a server that comes meanwhile', async () => {
    stage.hub.kill(only.peer)
    const opening = source.open({ maxTokens: 16 })
    await stage.clock.advance(1000)
    const other = await stage.serve(2, 0, 6, { refreshMs: 1e6 })
    const now = stage.clock.monotonic()
    expect((await opening).chain.map(({ peer }) => peer)).toEqual([other.peer])
    expect(stage.clock.monotonic()).toBe(now)
    await (await opening)[Symbol.asyncDispose]()
  })

  test('ends with its signal', async () => {
    stage.hub.kill(only.peer)
    await giveUpAfter(1000)
  })

  test('ends with its source', async () => {
    await source.start()
    await fail()
    const seen = watched(source.open({ maxTokens: 16 }))
    await stage.clock.advance(500)
    expect(seen.endedAt).toBeUndefined()
    const now = stage.clock.monotonic()
    await source.stop()
    expect(await seen.code).toBe('ERR_MODEL_UNAVAILABLE')
    expect(seen.endedAt).toBe(now)
  })

  test.each([Number.NaN, -1])('waits for no time that makes no sense: %d', (maxWaitMs) => {
    expect(() => stage.sourceOf({ maxWaitMs })).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_INIT' })
    )
  })

  test('waits for as long as the source says, or not at all', async () => {
    for (const maxWaitMs of [0, 1000]) {
      source = stage.sourceOf({ maxWaitMs, openTimeoutMs: 500 })
      stage.faults.stall(only.peer)
      const failed = codeOf(source.open({ maxTokens: 16 }))
      await stage.clock.advance(500)
      expect(await failed).toBe('ERR_MODEL_UNAVAILABLE')
      await stage.clock.advance(1800)
      stage.faults.resume(only.peer)
      const seen = watched(source.open({ maxTokens: 16 }))
      await stage.clock.advance(1000)
      expect(await seen.code).toBe(maxWaitMs === 0 ? 'ERR_MODEL_UNAVAILABLE' : 'no error')
    }
  })

  test('does not wait for a server that is full, and a smaller one that fits is not refused', async () => {
    const tight = await stage.serve(3, 0, 6, { region: 'tight', maxKvBytes: 20_000, refreshMs: 1e6 })
    await macrotask()
    const open = (maxTokens: number): Promise<RoutedChain> =>
      source.open({ maxTokens, constraints: { region: 'tight' } })
    const first = await open(60)
    const now = stage.clock.monotonic()
    const reason: unknown = expect.stringMatching(/^It is full for \d+ s more: ERR_SHARD_SERVER_FULL/)
    await expect(open(60)).rejects.toMatchObject({
      code: 'ERR_MODEL_UNAVAILABLE',
      details: { reasons: expect.arrayContaining([{ peer: tight.peer, from: 0, to: 6, reason }]) }
    })
    const small = await open(30)
    expect(stage.clock.monotonic()).toBe(now)
    expect(tight.server.stats().sessions).toBe(2)
    expect(stage.outcomes).toEqual([])
    for (const chain of [first, small]) await chain[Symbol.asyncDispose]()
  })
})

test('256 openings wait at most', async () => {
  const clock = createFakeClock()
  const line = createOpeningLine(clock)
  const waiting = Array.from({ length: 256 }, () => line.wait(0, 1000))
  expect(await line.wait(0, 1000)).toBe(false)
  line.changed()
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => true))
  expect(clock.sleeping).toBe(0)
  // What changed before the wait began is not waited for.
  expect(await line.wait(0, 1000)).toBe(true)
  const aborting = new AbortController()
  const aborted = line.wait(line.changes, 1000, { signal: aborting.signal })
  aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
  expect(await codeOf(aborted)).toBe('ERR_TEST')
})

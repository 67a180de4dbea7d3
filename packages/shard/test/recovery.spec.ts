// Servers that are there and do not do their work, links between servers that break, servers that go away.
import type { PeerId } from '@kwaai/interface'
import { afterEach, describe, expect, test } from 'vitest'
import { decodeFrame, type BlockServerInit, type ShardChain } from '../src/session/index.ts'
import { createFleet, cuts, hopsOf, play, spans, storyOf, truthOf, type Fleet } from './failover-kit.ts'
import { maxFrameBytes } from './session-kit.ts'

let fleet: Fleet
afterEach(() => fleet?.stop())

const story = storyOf(11)
const first = { steps: story.steps.slice(0, 5), overlapping: 3 }
const rest = { steps: story.steps.slice(5), overlapping: 0 }
const topologies = ['star', 'push'] as const
const never = new Promise<void>(() => undefined)

/** Frames that were sent from one peer to another one, by kind. */
function watchFrames(): (from: PeerId, to: PeerId, kind: string) => number {
  const seen = new Map<string, number>()
  fleet.onFrame = (own, { direction, peer, bytes }) => {
    const key = `${own} ${peer} ${decodeFrame(bytes, { maxFrameBytes }).body.case}`
    if (direction === 'send') seen.set(key, 1 + (seen.get(key) ?? 0))
    return 'pass'
  }
  return (from, to, kind) => seen.get(`${from} ${to} ${kind}`) ?? 0
}

const begin = async (
  seed: number,
  of: readonly (readonly [number, number])[],
  options: Parameters<Fleet['open']>[1] = {},
  init: Partial<BlockServerInit> = {}
): Promise<ShardChain> => {
  fleet = await createFleet(seed, of, init)
  return fleet.until(fleet.open(hopsOf(fleet, cuts), options))
}

const finish = async (chain: ShardChain, results: Float32Array[]): Promise<void> => {
  results.push(...(await fleet.until(play(chain, rest))))
  expect(results).toEqual(await truthOf(story))
  await fleet.until(chain[Symbol.asyncDispose]())
  await fleet.expectClean()
}

describe.each(topologies)('a frame (%s)', (topology) => {
  test.each(['step', 'result'])('lost on its way (%s) is sent again, and nobody is blamed', async (kind) => {
    for (let victim = 0; victim < 9; victim++) {
      fleet = await createFleet(victim, spans)
      // Without a planner too: nothing is wrong with any server.
      const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }, false))
      let count = 0
      fleet.onFrame = (_, { direction, bytes }) =>
        direction === 'send' && decodeFrame(bytes, { maxFrameBytes }).body.case === kind && count++ === victim
          ? 'drop'
          : 'pass'
      const results = await fleet.until(play(chain, first))
      expect(count).toBeGreaterThan(topology === 'push' && kind === 'result' ? 4 : victim)
      await finish(chain, results)
      expect(fleet.blamed).toEqual([])
      await fleet.stop()
    }
  })
})

describe('a server that keeps no results to repeat', () => {
  test('hands on what was lost from its history', async () => {
    for (let victim = 0; victim < 12; victim++) {
      fleet = await createFleet(victim, spans, { maxKeptBytes: 32 })
      const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), {}, false))
      let count = 0
      fleet.onFrame = (own, { direction, peer, bytes }) =>
        direction === 'send' &&
        own !== 'client' &&
        peer !== 'client' &&
        decodeFrame(bytes, { maxFrameBytes }).body.case === 'step' &&
        count++ === victim
          ? 'drop'
          : 'pass'
      await finish(chain, await fleet.until(play(chain, first)))
      expect(count).toBeGreaterThan(victim)
      await fleet.stop()
    }
  })

  test('is asked to compute again where its result was lost', async () => {
    const chain = await begin(1, spans, { topology: 'star' }, { maxKeptBytes: 32 })
    let lost = 0
    fleet.onFrame = (own, { direction, bytes }) => {
      const { body } = decodeFrame(bytes, { maxFrameBytes })
      return own === 'a2-3' && direction === 'send' && body.case === 'result' && lost++ === 2
        ? 'drop'
        : 'pass'
    }
    await finish(chain, await fleet.until(play(chain, first)))
    expect(fleet.blamed).toMatchObject([{ peer: 'a2-3' }])
  })
})

describe.each(topologies)('a server (%s)', (topology) => {
  test('that computes for ever is replaced while its answers to questions come', async () => {
    const chain = await begin(1, [...spans, ...spans], { topology })
    const results = await fleet.until(play(chain, first))
    fleet.member('a2-3').runner.before = () => never
    const begun = fleet.clock.monotonic()
    await finish(chain, results)
    expect(fleet.events).toMatchObject([{ from: ['a2-3'], to: ['b2-3'] }])
    // Half of its share of the time: one block of six.
    expect(fleet.events[0]?.stallMs).toBeGreaterThan(2_000)
    expect(fleet.events[0]?.stallMs).toBeLessThan(5_000)
    expect(fleet.clock.monotonic() - begun).toBeLessThan(30_000)
  })

  test('that computes slowly keeps its place while there is no other one', async () => {
    const chain = await begin(2, spans, { topology })
    const results = await fleet.until(play(chain, first))
    const { runner } = fleet.member('a2-3')
    runner.before = () => fleet.clock.sleep(20_000)
    results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(0, 1), overlapping: 0 }))))
    runner.before = () => undefined
    results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(1), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(fleet.events).toEqual([])
  })

  test('that answers after it was replaced changes nothing', async () => {
    const chain = await begin(3, [...spans, ...spans], { topology })
    const results = await fleet.until(play(chain, first))
    let free = (): void => undefined
    fleet.member('a3-6').runner.before = () => new Promise<void>((resolve) => (free = resolve))
    const next = chain.forward(rest.steps[0]!)
    results.push(await fleet.until(next))
    free()
    await fleet.settle(1_000)
    results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(1), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    await fleet.until(chain[Symbol.asyncDispose]())
    fleet.member('a3-6').runner.before = () => undefined
    await fleet.expectClean()
  })

  test('that hangs has its turn, and then the others that failed have theirs', async () => {
    // The planner prefers a2-3 wherever it may.
    const chain = await begin(7, [...spans, [2, 3]], { topology })
    const results = await fleet.until(play(chain, first))
    let resets = 0
    fleet.onFrame = (own) => {
      if (own !== 'b2-3' || resets++ > 0) return 'pass'
      // Both have failed now: one is there and hangs, the other one works again.
      fleet.hub.heal()
      fleet.hang('a2-3')
      return 'reset'
    }
    fleet.hub.partition(['client'], ['a2-3'])
    results.push(...(await fleet.until(play(chain, rest))))
    expect(results).toEqual(await truthOf(story))
    expect(fleet.events).toMatchObject([{ from: ['a2-3'], to: ['b2-3'] }])
    expect(fleet.blamed.map(({ peer }) => peer)).toEqual(['a2-3', 'b2-3', 'a2-3'])
  })

  test('that goes away is left before it goes, while nobody waits too', async () => {
    const chain = await begin(4, [...spans, ...spans], { topology })
    const results = await fleet.until(play(chain, first))
    let drained = Infinity
    const draining = fleet
      .member('a2-3')
      .server.drain()
      .then(() => (drained = fleet.clock.monotonic()))
    await fleet.until(draining)
    expect(drained).toBeLessThan(1_000)
    expect(chain.chain.map(({ peer }) => peer)).toEqual(['a0-2', 'b2-3', 'a3-6'])
    expect(fleet.events).toMatchObject([
      { cause: 'ERR_SHARD_DRAINING', from: ['a2-3'], to: ['b2-3'], stallMs: 0 }
    ])
    await finish(chain, results)
  })

  test('that goes away in the middle of steps is left without an error', async () => {
    const chain = await begin(5, [...spans, ...spans], { topology })
    const at = fleet.turns + 8
    let gone: Promise<void> | undefined
    fleet.atTurn.set(at, () => {
      gone = fleet.member('a0-2').server.drain()
    })
    const results = await fleet.until(play(chain, first))
    await fleet.until(gone ?? never)
    expect(chain.chain[0]?.peer).toBe('b0-2')
    await finish(chain, results)
  })

  test('that goes away and has no twin is used to its end, then the session waits for another one', async () => {
    const chain = await begin(6, spans, { topology })
    const results = await fleet.until(play(chain, first))
    const draining = fleet.member('a2-3').server.drain({ deadlineMs: 3_000 })
    await fleet.settle(500)
    results.push(await fleet.until(chain.forward(rest.steps[0]!)))
    await fleet.until(draining)
    await fleet.add(2, 3)
    results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(1), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(chain.chain[1]?.peer).toBe('b2-3')
  })
})

describe('servers that hand rows to each other', () => {
  test('leave the client out of it', async () => {
    fleet = await createFleet(1, spans)
    const sent = watchFrames()
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts)))
    const results = await fleet.until(play(chain, first))
    const { length } = first.steps
    expect(sent('client', 'a0-2', 'step')).toBe(length)
    expect(sent('a0-2', 'a2-3', 'step')).toBe(length)
    expect(sent('a2-3', 'a3-6', 'step')).toBe(length)
    expect(sent('a3-6', 'client', 'result')).toBe(length)
    for (const peer of ['a2-3', 'a3-6']) expect(sent('client', peer, 'step')).toBe(0)
    for (const peer of ['a0-2', 'a2-3']) expect(sent(peer, 'client', 'result')).toBe(0)
    await finish(chain, results)
  })

  test('tell what each of them did', async () => {
    const chain = await begin(2, spans)
    fleet.member('a2-3').runner.before = () => fleet.clock.sleep(40)
    await fleet.until(play(chain, { steps: story.steps.slice(0, 1), overlapping: 1 }))
    expect(chain.stats()).toMatchObject([
      { peer: 'a0-2', steps: 1, computeMs: 0, roundTripMs: 0 },
      { peer: 'a2-3', steps: 1, computeMs: 40, roundTripMs: 40 },
      { peer: 'a3-6', steps: 1, computeMs: 0, roundTripMs: 0 }
    ])
  })

  test.each([
    ['a0-2', 'a2-3'],
    ['a2-3', 'a3-6']
  ])('and cannot reach each other (%s, %s) get the rows from the client, the others not', async (a, b) => {
    fleet = await createFleet(3, spans)
    fleet.hub.partition([a], [b])
    const sent = watchFrames()
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts)))
    const results = await fleet.until(play(chain, first))
    expect(sent('client', b, 'step')).toBe(first.steps.length)
    expect(sent(a, 'client', 'result')).toBe(first.steps.length)
    const [from, to] = a === 'a0-2' ? ['a2-3', 'a3-6'] : ['a0-2', 'a2-3']
    expect(sent(from as string, to as string, 'step')).toBe(first.steps.length)
    await finish(chain, results)
  })

  test('and lose each other find each other again, or the client carries on from what they keep', async () => {
    for (const mended of [true, false]) {
      const chain = await begin(4, spans)
      const results = await fleet.until(play(chain, first))
      const computed = fleet.members.map(({ runner }) => runner.rows)
      const sent = watchFrames()
      fleet.hub.partition(['a0-2'], ['a2-3'])
      if (mended) fleet.hub.heal()
      results.push(...(await fleet.until(play(chain, rest))))
      expect(results).toEqual(await truthOf(story))
      // Nobody was replaced and nothing ran again.
      const rows = rest.steps.reduce((sum, step) => sum + step.hidden.length / 8, 0)
      expect(fleet.members.map(({ runner }) => runner.rows)).toEqual(computed.map((done) => done + rows))
      expect(fleet.events).toEqual([])
      expect(sent('client', 'a2-3', 'step') > 0).toBe(!mended)
      await fleet.until(chain[Symbol.asyncDispose]())
      await fleet.expectClean()
      await fleet.stop()
    }
  })

  test.each(['a0-2', 'a2-3', 'a3-6'])(
    'and lost each other before can be replaced as well (%s)',
    async (victim) => {
      const chain = await begin(5, [...spans, ...spans])
      const results = await fleet.until(play(chain, first))
      fleet.hub.partition(['a0-2'], ['a2-3'])
      results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(0, 2), overlapping: 0 }))))
      fleet.kill(victim)
      results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(2), overlapping: 0 }))))
      expect(results).toEqual(await truthOf(story))
      expect(fleet.events).toMatchObject([{ from: [victim], to: [victim.replace('a', 'b')] }])
      await fleet.until(chain[Symbol.asyncDispose]())
      await fleet.expectClean()
    }
  )

  test('take the place of one that is not reached by the one before it', async () => {
    const chain = await begin(6, [...spans, ...spans])
    const results = await fleet.until(play(chain, first))
    fleet.hub.partition(['a0-2'], ['b2-3'])
    fleet.hub.partition(['b2-3'], ['a3-6'])
    fleet.kill('a2-3')
    await finish(chain, results)
    expect(chain.stats().map(({ peer }) => peer)).toContain('b2-3')
  })
})

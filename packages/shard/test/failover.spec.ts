import { KwaaiError } from '@kwaai/interface'
import { afterEach, describe, expect, test } from 'vitest'
import { createFleet, cuts, hopsOf, play, spans, storyOf, truthOf, type Fleet } from './failover-kit.ts'
import { survivesFrames, survivesOne, survivesStorms, survivesTwo } from './failover-properties.ts'
import { codeOf, rowsOf } from './session-kit.ts'

const runs = 10

describe.each(['star', 'push'] as const)('a chain (%s) goes on with the same bits', (topology) => {
  test('when any server is killed at any moment', () => survivesOne(topology, 'kill', runs))
  test('when any server hangs at any moment', () => survivesOne(topology, 'hang', runs))
  test('when two are lost, also while the first is replaced', () => survivesTwo(topology, runs))
  test('when frames are lost, come twice or come late', () => survivesFrames(topology, runs))
  test('in a storm', () => survivesStorms(topology, runs))
})

let fleet: Fleet
afterEach(() => fleet?.stop())

const story = storyOf(7)
const topologies = ['star', 'push'] as const

describe.each(topologies)('a chain (%s) whose every frame comes twice', (topology) => {
  test('notices nothing, while it is opened, runs, and replaces a server', async () => {
    fleet = await createFleet(3, [...spans, ...spans])
    fleet.onFrame = () => 'duplicate'
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const { steps } = story
    const results = await fleet.until(play(chain, { steps: steps.slice(0, 4), overlapping: 3 }))
    expect(fleet.blamed).toEqual([])
    fleet.kill('a2-3')
    results.push(...(await fleet.until(play(chain, { steps: steps.slice(4), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(fleet.blamed.map(({ peer }) => peer)).toEqual(['a2-3'])
    expect(fleet.events).toHaveLength(1)
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
  })
})

describe.each(topologies)('a chain (%s) whose server is lost', (topology) => {
  test('tells who took over, after how long, and goes on counting', async () => {
    fleet = await createFleet(1, [...spans, ...spans])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const { steps } = story
    const results = await fleet.until(play(chain, { steps: steps.slice(0, 4), overlapping: 3 }))
    const held = (steps[3]?.past ?? 0) + 1
    fleet.kill('a2-3')
    results.push(...(await fleet.until(play(chain, { steps: steps.slice(4), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(chain.chain.map(({ peer }) => peer)).toEqual(['a0-2', 'b2-3', 'a3-6'])
    expect(fleet.events).toEqual([
      {
        step: 5,
        blocks: { from: 2, to: 3 },
        from: ['a2-3'],
        to: ['b2-3'],
        cause: 'ERR_SHARD_HOP_FAILED',
        stallMs: 0,
        replayedRows: held + 1
      }
    ])
    expect(fleet.blamed).toEqual([{ peer: 'a2-3', code: 'ERR_SHARD_HOP_FAILED' }])
    // Steps that were run again are nobody's merit.
    expect(chain.stats().map(({ peer, steps: done }) => [peer, done])).toEqual([
      ['a0-2', steps.length],
      ['b2-3', steps.length - 4],
      ['a3-6', steps.length],
      ['a2-3', 4]
    ])
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
  })

  test('leaves it at that while nobody waits, and replaces it for the next step', async () => {
    fleet = await createFleet(2, [...spans, ...spans])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    fleet.kill('a3-6')
    await fleet.settle(5_000)
    expect(fleet.asked).toEqual([])
    expect(chain.ended?.aborted).toBe(false)
    expect(await fleet.until(play(chain, story))).toEqual(await truthOf(story))
  })

  test('ends with a typed error before the deadline when nobody is left', async () => {
    fleet = await createFleet(3, [...spans, ...spans])
    const failures: unknown[] = []
    const onFailure = (error: unknown): void => void failures.push(error)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology, onFailure }))
    fleet.kill('a2-3')
    fleet.kill('b2-3')
    const begun = fleet.clock.monotonic()
    const error = await fleet.until(play(chain, story).catch((reason: unknown) => reason))
    expect(error).toMatchObject({
      code: 'ERR_SHARD_HOP_FAILED',
      message: expect.stringContaining('nobody takes its place'),
      details: { peer: 'a2-3', from: 2, to: 3, step: 1 }
    })
    expect(fleet.clock.monotonic() - begun).toBeLessThan(10_000)
    expect(failures).toEqual([error])
    expect(chain.ended?.aborted).toBe(true)
    expect(await codeOf(chain.forward(story.steps[0]!))).toBe('ERR_SHARD_HOP_FAILED')
    await fleet.expectClean()
  })

  test('ends with a typed error at the deadline when all of a span hang', async () => {
    fleet = await createFleet(4, [...spans, ...spans])
    const options = { topology, stepTimeoutMs: 5_000, rowTimeoutMs: 0 }
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), options))
    fleet.hang('a2-3')
    fleet.hang('b2-3')
    const begun = fleet.clock.monotonic()
    const codes = story.steps.slice(0, 3).map((step) => codeOf(chain.forward(step)))
    expect(await fleet.until(Promise.all(codes))).toEqual(Array.from(codes, () => 'ERR_SHARD_HOP_FAILED'))
    expect(fleet.clock.monotonic() - begun).toBeLessThanOrEqual(5_000)
    await fleet.expectClean()
  })

  test('tries a server that failed again where there is no other one', async () => {
    fleet = await createFleet(5, spans, { idleTimeoutMs: 5_000 })
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const { steps } = story
    const results = await fleet.until(play(chain, { steps: steps.slice(0, 5), overlapping: 3 }))
    // All three forget the session.
    await fleet.settle(20_000)
    expect(fleet.members.map(({ server }) => server.stats().sessions)).toEqual([0, 0, 0])
    results.push(...(await fleet.until(play(chain, { steps: steps.slice(5), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(fleet.blamed.map(({ code }) => code)).toEqual(Array.from(spans, () => 'ERR_SHARD_SESSION_EXPIRED'))
  })

  test('is planned anew where its blocks have no other server of their own', async () => {
    fleet = await createFleet(6, [...spans, [0, 1], [1, 6]])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const results = await fleet.until(play(chain, { steps: story.steps.slice(0, 5), overlapping: 3 }))
    fleet.kill('a2-3')
    results.push(...(await fleet.until(play(chain, { steps: story.steps.slice(5), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(chain.chain.map(({ peer }) => peer)).toEqual(['a0-1', 'a1-6'])
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
  })

  test('keeps what is the same in a new plan', async () => {
    fleet = await createFleet(7, [...spans, [2, 6]])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const results = await fleet.until(play(chain, { steps: story.steps.slice(0, 5), overlapping: 3 }))
    const computed = fleet.member('a0-2').runner.rows
    fleet.kill('a2-3')
    results.push(...(await fleet.until(play(chain, { steps: story.steps.slice(5), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(chain.chain.map(({ peer }) => peer)).toEqual(['a0-2', 'a2-6'])
    const rest = story.steps.slice(5).reduce((rows, step) => rows + step.hidden.length / 8, 0)
    // In push its results are kept, in star the client has them: the first server computes nothing twice.
    if (topology === 'star') expect(fleet.member('a0-2').runner.rows).toBe(computed + rest)
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
  })

  test('can be replaced by several', async () => {
    fleet = await createFleet(8, [[0, 6], ...spans])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, [0, 6]), { topology }))
    const results = await fleet.until(play(chain, { steps: story.steps.slice(0, 5), overlapping: 3 }))
    fleet.kill('a0-6')
    results.push(...(await fleet.until(play(chain, { steps: story.steps.slice(5), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    expect(chain.chain.map(({ peer }) => peer)).toEqual(['a0-2', 'a2-3', 'a3-6'])
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
  })

  test('leaves nothing open when it is closed while somebody takes over', async () => {
    for (let turns = 0; turns < 24; turns += 3) {
      fleet = await createFleet(turns, [...spans, ...spans])
      const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
      await fleet.until(play(chain, { steps: story.steps.slice(0, 5), overlapping: 3 }))
      fleet.kill('a2-3')
      let closed = (): void => undefined
      const closing = new Promise<void>((resolve) => (closed = resolve))
      fleet.atTurn.set(fleet.turns + turns, () => void chain[Symbol.asyncDispose]().then(closed))
      const code = codeOf(chain.forward(story.steps[5]!))
      await fleet.settle(0)
      if (fleet.turns <= turns) void chain[Symbol.asyncDispose]().then(closed)
      await fleet.until(Promise.race([closing, code]))
      await fleet.until(chain[Symbol.asyncDispose]())
      await fleet.expectClean()
      await fleet.stop()
    }
  })
})

describe('the numerics class', () => {
  const other = { numericsClass: 'other/1' }

  test('of a server that takes over is the one of the session', async () => {
    fleet = await createFleet(1, spans)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts)))
    // The planner takes it for one of the right class; it says itself that it is not.
    await fleet.add(2, 3, other)
    fleet.kill('a2-3')
    expect(await fleet.until(codeOf(play(chain, story)))).toBe('ERR_SHARD_HOP_FAILED')
    expect(fleet.asked[0]).toMatchObject({ numericsClass: 'fake/1', approximate: false })
    expect(fleet.blamed).toContainEqual({ peer: 'b2-3', code: 'ERR_SHARD_NUMERICS_MISMATCH' })
    expect(fleet.member('b2-3').runner.rows).toBe(0)
  })

  test('may be another one where that is asked for by name', async () => {
    fleet = await createFleet(2, spans)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { replay: 'approximate' }))
    expect(chain.mixed).toBe(false)
    await fleet.add(2, 3, other)
    fleet.kill('a2-3')
    fleet.anyClass = true
    await fleet.until(play(chain, story))
    expect(fleet.asked[0]).toMatchObject({ approximate: true })
    expect(chain.mixed).toBe(true)
    expect(chain.chain[1]).toMatchObject({ peer: 'b2-3', numericsClass: 'other/1' })
  })
})

// Each of the three would pass a chain that behaves as systems before this one, and fail here.
describe.each(topologies)('the three silent failures (%s)', (topology) => {
  test('an advert with other blocks than its server has runs nothing', async () => {
    // Before: a server ran all of its blocks whatever was wanted, so blocks 3 to 5 ran twice, and nobody noticed.
    fleet = await createFleet(1, spans)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const liar = await fleet.add(2, 6)
    fleet.advertise(liar.peer, 2, 3)
    await fleet.add(2, 3)
    fleet.kill('a2-3')
    expect(await fleet.until(play(chain, story))).toEqual(await truthOf(story))
    expect(fleet.blamed).toContainEqual({ peer: 'a2-6', code: 'ERR_SHARD_RANGE_MISMATCH' })
    expect(liar.runner.rows).toBe(0)
    expect(chain.chain.map(({ peer }) => peer)).toEqual(['a0-2', 'b2-3', 'a3-6'])
  })

  test('a server that takes over has every row before it answers', async () => {
    // Before: it began with an empty cache at the step under way, and its rows were taken for right.
    fleet = await createFleet(2, [...spans, ...spans])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    const { steps } = story
    const results = await fleet.until(play(chain, { steps: steps.slice(0, 5), overlapping: 3 }))
    fleet.kill('a2-3')
    results.push(await fleet.until(chain.forward(steps[5]!)))
    expect(results[5]).toEqual((await truthOf(story))[5])
    expect(fleet.member('b2-3').runner.rows).toBe((steps[5]?.past ?? 0) + 1)
  })

  test('a step whose result was lost is not run twice', async () => {
    // Before: the step was sent again and its rows were appended to the cache a second time.
    fleet = await createFleet(3, spans)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    let lost = 0
    fleet.onFrame = (own, { direction, peer }) => {
      const reply = own === 'a3-6' && direction === 'send' && peer === 'client'
      return reply && lost++ === 0 ? 'drop' : 'pass'
    }
    expect(await fleet.until(play(chain, story))).toEqual(await truthOf(story))
    expect(lost).toBeGreaterThan(1)
    const rows = story.steps.reduce((sum, step) => sum + step.hidden.length / 8, 0)
    expect(fleet.members.map(({ runner }) => runner.rows)).toEqual([rows, rows, rows])
    expect(fleet.events).toEqual([])
  })
})

describe('rows that no server can compute', () => {
  test('end the chain once two servers agree', async () => {
    fleet = await createFleet(1, [...spans, ...spans, ...spans])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts)))
    for (const { from, runner } of fleet.members) {
      const { forward } = runner
      if (from !== 2) continue
      runner.forward = async (batch) =>
        batch.some(({ past }) => past > 6) ? [{ failure: 'not-finite', row: 0 }] : forward(batch)
    }
    const error = await fleet.until(play(chain, story).catch((reason: unknown) => reason))
    expect(KwaaiError.is(error) && error.code).toBe('ERR_SHARD_INVALID_VALUES')
    expect(fleet.member('c2-3').runner.rows).toBe(0)
    await fleet.expectClean()
  })

  test('handed on by a server that lies are its fault, not that of the next one', async () => {
    fleet = await createFleet(2, [...spans, ...spans])
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts)))
    const { runner } = fleet.member('a2-3')
    const { forward } = runner
    runner.forward = async (batch) =>
      (await forward(batch)).map((rows, index) =>
        rows instanceof Float32Array && (batch[index]?.past ?? 0) > 6 ? rows.fill(NaN) : rows
      )
    expect(await fleet.until(play(chain, story))).toEqual(await truthOf(story))
    expect(fleet.blamed).toEqual([{ peer: 'a2-3', code: 'ERR_SHARD_INVALID_RESULT' }])
  })
})

test('attempts are limited', async () => {
  fleet = await createFleet(1, spans)
  const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { maxRecoveries: 5 }))
  // A planner that names the same dead server for ever.
  fleet.planner.replace = async (request) => {
    fleet.asked.push(request)
    return { hops: [{ peer: 'a2-3', from: request.from, to: request.to }] }
  }
  fleet.kill('a2-3')
  expect(await fleet.until(codeOf(chain.forward({ ...story.steps[0]!, hidden: rowsOf(1, 1) })))).toBe(
    'ERR_SHARD_HOP_FAILED'
  )
  expect(fleet.asked).toHaveLength(5)
})

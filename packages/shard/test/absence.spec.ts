// Blocks whose only server is lost in the middle of a session, and for which another one may come in time.
import { KwaaiError } from '@kwaai/interface'
import { afterEach, describe, expect, test } from 'vitest'
import type { ShardChain } from '../src/session/index.ts'
import { createFleet, cuts, hopsOf, play, spans, storyOf, truthOf, type Fleet } from './failover-kit.ts'
import { codeOf } from './session-kit.ts'

let fleet: Fleet
afterEach(() => fleet?.stop())

const story = storyOf(11)
const first = { steps: story.steps.slice(0, 5), overlapping: 3 }
const rest = { steps: story.steps.slice(5), overlapping: 0 }

describe.each(['star', 'push'] as const)('blocks that nobody serves for a while (%s)', (topology) => {
  const next = rest.steps[0]!
  /** The planner knows the lost one no more, and a new one once it is there. */
  const lose = async (options: Parameters<Fleet['open']>[1] = {}): Promise<ShardChain> => {
    fleet = await createFleet(8, spans)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology, ...options }))
    const { replace } = fleet.planner
    fleet.planner.replace = async (request) =>
      replace({ ...request, excluded: new Set([...request.excluded, 'a2-3']) })
    return chain
  }

  test('are waited for, and no attempt is counted while there is nobody to try', async () => {
    const chain = await lose({ maxRecoveries: 1 })
    const results = await fleet.until(play(chain, first))
    fleet.kill('a2-3')
    const waiting = chain.forward(next)
    await fleet.settle(20_000)
    // After 250 ms, 500, 1,000, then every 2 s; with and without who failed, for these blocks and for all.
    expect(fleet.asked).toHaveLength(4 * 13)
    await fleet.add(2, 3)
    results.push(await fleet.until(waiting))
    expect(fleet.events).toMatchObject([{ from: ['a2-3'], to: ['b2-3'] }])
    results.push(...(await fleet.until(play(chain, { steps: rest.steps.slice(1), overlapping: 0 }))))
    expect(results).toEqual(await truthOf(story))
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
  })

  test('end the session when it is too late, with who is lost and why nobody came', async () => {
    const chain = await lose()
    await fleet.until(play(chain, first))
    fleet.kill('a2-3')
    const begun = fleet.clock.monotonic()
    const error = await fleet.until(chain.forward(next).catch((reason: unknown) => reason))
    expect(error).toMatchObject({
      code: 'ERR_SHARD_HOP_FAILED',
      message:
        'Cannot run step 6: a2-3 (blocks 2 to 2) is lost and nobody takes its place: no such servers are known',
      details: { peer: 'a2-3', from: 2, to: 3, step: 6 }
    })
    const tookMs = fleet.clock.monotonic() - begun
    expect(tookMs).toBeGreaterThan(25_000)
    expect(tookMs).toBeLessThan(30_100)
    await fleet.expectClean()
  })

  test('are waited for no longer than whoever asks', async () => {
    const chain = await lose()
    await fleet.until(play(chain, first))
    fleet.kill('a2-3')
    const aborting = new AbortController()
    const code = codeOf(chain.forward(next, { signal: aborting.signal }))
    await fleet.settle(6_000)
    aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
    expect(await fleet.until(code)).toBe('ERR_TEST')
    const asked = fleet.asked.length
    await fleet.settle(6_000)
    expect(fleet.asked).toHaveLength(asked)
    await fleet.expectClean()
  })
})

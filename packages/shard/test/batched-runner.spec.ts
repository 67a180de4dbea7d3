import { KwaaiError, type BlockStep } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, macrotask } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { batchedRunner } from '../src/session/index.ts'
import { createFakeRunner, hiddenSize, rowsOf } from './session-kit.ts'

const range = { from: 0, to: 6, blockCount: 6 }
const limits = { maxBatchSteps: 8, maxPrefillRows: 128, decodeGroups: 1, maxHoldMs: 10 }

/** A prompt, then single rows. */
function stepsOf(session: number, seed: number): BlockStep[] {
  const rows = [20, ...Array.from({ length: 10 }, () => 1)]
  let past = 0
  return rows.map((count, i) => {
    const step: BlockStep = {
      session,
      past,
      hidden: rowsOf(count, 100 * seed + i),
      kernel: count > 1 ? 'tile' : 'vec'
    }
    past += count
    return step
  })
}

test('gives each session the bits it has alone, in fewer calls', async () => {
  const clock = createFakeClock()
  const random = createSeededRandom('batched')
  const alone = createFakeRunner(range)
  const fake = createFakeRunner(range)
  fake.before = () => clock.sleep(1 + 3 * random.next())
  const runner = batchedRunner(fake, { clock }, limits)
  const stories = Array.from({ length: 8 }, async (_, seed) => {
    const [own, other] = [await runner.open({ maxTokens: 64 }), await alone.open({ maxTokens: 64 })]
    for (const [i, step] of stepsOf(own, seed).entries()) {
      const offered = { ...step, hidden: step.hidden.slice() }
      const result = runner.forward([offered])
      // Copied at once: the caller may use its memory again.
      offered.hidden.fill(0)
      const [expected] = await alone.forward([{ ...step, session: other }])
      expect((await result)[0], `step ${i} of ${seed}`).toEqual(expected)
    }
    await runner.close(own)
  })
  let over = false
  const all = Promise.all(stories).finally(() => (over = true))
  while (!over) {
    await macrotask()
    await clock.advance(1)
  }
  await all
  expect(fake.openSessions).toBe(0)
  expect(fake.batches.length).toBeLessThan(8 * 11)
  expect(Math.max(...fake.batches)).toBeGreaterThan(3)
})

/** A runner whose first call waits until the test says so; what waits meanwhile goes together then. */
async function setup(sessions: number, init: { maxWaiting?: number } = {}) {
  const fake = createFakeRunner(range)
  let begin = (): void => undefined
  const gate = new Promise<void>((resolve) => (begin = resolve))
  fake.before = () => gate
  const runner = batchedRunner(fake, { clock: createFakeClock() }, { ...limits, ...init })
  const handles: number[] = []
  for (let i = 0; i < sessions; i++) handles.push(await runner.open({ maxTokens: 8 }))
  const step = (index: number, more: Partial<BlockStep> = {}): BlockStep => ({
    session: handles[index] as number,
    past: 0,
    hidden: new Float32Array(hiddenSize).fill(1),
    kernel: 'vec',
    ...more
  })
  return { fake, runner, handles, begin, step }
}
const failed = (error: unknown): unknown => (KwaaiError.is(error) ? error.code : error)
const lengths = (results: unknown): unknown =>
  Array.isArray(results) ? results.map((one) => (one instanceof Float32Array ? one.length : one)) : results

test('fails one step alone, whatever is wrong with it, and lets the others of its batch have theirs', async () => {
  const { fake, runner, begin, step } = await setup(5)
  const forward = fake.forward
  fake.forward = async (steps, options) => {
    const results = await forward(steps, options)
    return results.map((result, i) =>
      steps[i]?.hidden[0] === 7 ? { failure: 'not-finite', row: 0 } : result
    )
  }
  const first = runner.forward([step(0)])
  await macrotask()
  const good = runner.forward([step(1)])
  const bad = runner.forward([step(2, { hidden: new Float32Array(hiddenSize).fill(7) })])
  const misfit = runner.forward([step(3, { past: 5 })]).catch(failed)
  const two = runner.forward([step(4), step(4, { past: 1 })])
  begin()
  expect(lengths(await first)).toEqual([hiddenSize])
  expect(lengths(await good)).toEqual([hiddenSize])
  expect(await bad).toEqual([{ failure: 'not-finite', row: 0 }])
  expect(await misfit).toBe('ERR_BACKEND_INVALID_STEP')
  expect(lengths(await two)).toEqual([hiddenSize, hiddenSize])
  expect(Math.max(...fake.batches)).toBeGreaterThan(2)
})

test('tells all of a batch when the runner is gone, and tries nothing again', async () => {
  const { fake, runner, begin, step } = await setup(4)
  const first = runner.forward([step(0)])
  await macrotask()
  const others = [1, 2, 3].map((index) => runner.forward([step(index)]).catch(failed))
  let calls = 0
  fake.forward = async () => {
    calls++
    throw new KwaaiError('ERR_BACKEND_CRASHED', 'The process that computes ended')
  }
  begin()
  expect(lengths(await first)).toEqual([hiddenSize])
  expect(await Promise.all(others)).toEqual(Array.from({ length: 3 }, () => 'ERR_BACKEND_CRASHED'))
  expect(calls).toBe(1)
})

test('ends what waits for a session that is closed or a caller that gave up, and bounds the rest', async () => {
  const { fake, runner, handles, begin, step } = await setup(3, { maxWaiting: 3 })
  const running = runner.forward([step(0)])
  await macrotask()
  const controller = new AbortController()
  const closedSoon = runner.forward([step(1)]).catch(failed)
  const given = runner.forward([step(2)], { signal: controller.signal }).catch(failed)
  const also = runner.forward([step(0, { past: 1 })]).catch(failed)
  expect(await runner.forward([step(0)]).catch(failed)).toBe('ERR_BACKEND_BUSY')
  controller.abort('no longer')
  await runner.close(handles[1] as number)
  expect(await closedSoon).toBe('ERR_BACKEND_CLOSED')
  expect(await given).toBe('no longer')
  // One whose step runs gets its result still; what waits behind it does not run.
  await runner.close(handles[0] as number)
  expect(await also).toBe('ERR_BACKEND_CLOSED')
  begin()
  expect(await running.catch(failed)).toBe('ERR_BACKEND_UNKNOWN_SESSION')
  expect(fake.openSessions).toBe(1)
})

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

test('fails one step alone, and what waits for a session that is closed or a caller that gave up', async () => {
  const clock = createFakeClock()
  const fake = createFakeRunner(range)
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  fake.before = () => gate
  const runner = batchedRunner(fake, { clock }, { maxWaiting: 3 })
  const [a, b, c] = [
    await runner.open({ maxTokens: 8 }),
    await runner.open({ maxTokens: 8 }),
    await runner.open({ maxTokens: 8 })
  ]
  const step = (session: number, value: number): BlockStep => ({
    session,
    past: 0,
    hidden: new Float32Array(hiddenSize).fill(value),
    kernel: 'vec'
  })
  const failed = (error: unknown): unknown => (KwaaiError.is(error) ? error.code : error)
  const first = runner.forward([step(a, 1)])
  await macrotask()
  const controller = new AbortController()
  const closedSoon = runner.forward([step(b, 1)]).catch(failed)
  const invalid = runner.forward([{ ...step(c, 1), past: 5 }]).catch(failed)
  const given = runner.forward([step(a, 2)], { signal: controller.signal }).catch(failed)
  expect(await runner.forward([step(a, 3)]).catch(failed)).toBe('ERR_BACKEND_BUSY')
  controller.abort('no longer')
  await runner.close(b)
  expect(await closedSoon).toBe('ERR_BACKEND_CLOSED')
  expect(await given).toBe('no longer')
  open()
  expect(((await first)[0] as Float32Array).length).toBe(hiddenSize)
  expect(await invalid).toBe('ERR_BACKEND_INVALID_STEP')
})

import { KwaaiError, type BlockStep } from '@kwaai/interface'
import { createFakeClock, macrotask, type FakeClock } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import { createExecutor, type Executor, type Job, type JobOutcome } from '../src/session/executor.ts'
import type { ScheduleLimits } from '../src/session/scheduler.ts'
import { createFakeRunner, rowsOf, type FakeRunner } from './session-kit.ts'

const limits: ScheduleLimits = { maxBatchSteps: 8, maxPrefillRows: 128, decodeGroups: 2, maxHoldMs: 10 }

interface Stage {
  clock: FakeClock
  runner: FakeRunner
  executor: Executor
  /** Hands in a step of a session, which counts its own rows. */
  submit(session: number, rows?: number, job?: Partial<Job>): Promise<JobOutcome>
}

async function stageOf(sessions: number, init: Partial<ScheduleLimits> = {}): Promise<Stage> {
  const clock = createFakeClock()
  const runner = createFakeRunner({ from: 0, to: 2, blockCount: 6 })
  const executor = createExecutor(runner, clock, { ...limits, ...init })
  const lengths = new Map<number, number>()
  for (let i = 0; i < sessions; i++) lengths.set(await runner.open({ maxTokens: 10_000 }), 0)
  return {
    clock,
    runner,
    executor,
    submit(session, rows = 1, job = {}) {
      const past = lengths.get(session) as number
      lengths.set(session, past + rows)
      return new Promise((settle) =>
        executor.submit({
          session,
          peer: `caller ${session}`,
          past,
          rows,
          hidden: rowsOf(rows, past),
          kernel: rows > 8 ? 'tile' : 'vec',
          arrivedAt: clock.monotonic(),
          deadlineAt: Infinity,
          settle,
          ...job
        })
      )
    }
  }
}

/** Makes the runner take its time. */
function takes(stage: Stage, ms: (steps: readonly BlockStep[]) => number): void {
  stage.runner.before = (steps) => stage.clock.sleep(ms(steps))
}

describe('the executor', () => {
  test('hands the step of the only session to the runner one microtask later, without a timer', async () => {
    const { runner, clock, executor, submit } = await stageOf(1)
    for (let token = 0; token < 5; token++) {
      const done = submit(1)
      expect(runner.batches).toHaveLength(token)
      await Promise.resolve()
      expect(runner.batches).toHaveLength(token + 1)
      expect(executor.waiting).toBe(0)
      expect(clock.sleeping).toBe(0)
      expect(await done).toMatchObject({ type: 'done' })
      await clock.advance(6)
    }
    expect(executor.bytes).toBe(0)
  })

  test('holds a batch back for a session that is due, and no longer than until it comes', async () => {
    const stage = await stageOf(4)
    takes(stage, () => 2.4)
    const { clock, runner } = stage
    // Four sessions that generate every 10 ms, two and two.
    for (let token = 0; token < 12; token++) {
      for (const session of [1, 2]) void stage.submit(session)
      await clock.advance(5)
      for (const session of [3, 4]) void stage.submit(session)
      await clock.advance(5)
    }
    expect(runner.batches.slice(-8)).toEqual(Array.from({ length: 8 }, () => 2))
    const before = runner.batches.length
    void stage.submit(1)
    await clock.advance(1)
    // The second one is due: nothing runs.
    expect(runner.batches).toHaveLength(before)
    void stage.submit(2)
    await macrotask()
    expect(runner.batches.slice(before)).toEqual([2])
    await clock.advance(20)
    expect(clock.sleeping).toBe(0)
  })

  test('runs what it held back when nobody comes, and forgets those that were dropped', async () => {
    const stage = await stageOf(4)
    takes(stage, () => 2.4)
    const { clock, runner, executor } = stage
    const warm = async (): Promise<void> => {
      for (let token = 0; token < 12; token++) {
        for (const session of [1, 2]) void stage.submit(session)
        await clock.advance(5)
        for (const session of [3, 4]) void stage.submit(session)
        await clock.advance(5)
      }
    }
    await warm()
    const begun = clock.monotonic()
    const outcome = stage.submit(1)
    await clock.advance(30)
    expect(await outcome).toMatchObject({ type: 'done', queueMs: expect.any(Number) })
    const { queueMs } = (await outcome) as { queueMs: number }
    expect(queueMs).toBeGreaterThan(0)
    expect(queueMs).toBeLessThanOrEqual(10)
    expect(clock.monotonic() - begun).toBe(30)
    await warm()
    const before = runner.batches.length
    void stage.submit(1)
    await macrotask()
    expect(executor.bytes).toBeGreaterThan(0)
    executor.drop(1)
    await clock.advance(30)
    expect(runner.batches).toHaveLength(before)
    expect(executor).toMatchObject({ waiting: 0, bytes: 0 })
    expect(clock.sleeping).toBe(0)
  })

  test('fails a late step without running it, and whoever settles may drop the rest', async () => {
    const stage = await stageOf(2)
    takes(stage, () => 50)
    const { clock, executor, runner } = stage
    const first = stage.submit(1)
    const codes: string[] = []
    const late = (outcome: JobOutcome): void => {
      codes.push(outcome.type === 'failed' && KwaaiError.is(outcome.error) ? outcome.error.code : 'done')
      executor.drop(2)
    }
    void stage.submit(2, 1, { deadlineAt: 30, settle: late })
    void stage.submit(2, 1, { settle: () => codes.push('never') })
    expect(executor.waiting).toBe(3)
    await clock.advance(60)
    expect(await first).toMatchObject({ type: 'done' })
    expect(codes).toEqual(['ERR_SHARD_DEADLINE_EXCEEDED'])
    expect(executor).toMatchObject({ waiting: 0, bytes: 0 })
    expect(runner.batches).toEqual([1])
  })

  test('lets a generating session through between two chunks of a long prompt', async () => {
    const stage = await stageOf(2)
    takes(stage, (steps) => steps.reduce((sum, { hidden }) => sum + hidden.length / 8, 0))
    const { clock } = stage
    const prompt = Array.from({ length: 6 }, () => stage.submit(1, 128))
    await clock.advance(10)
    const begun = clock.monotonic()
    const waits: number[] = []
    for (let token = 0; token < 3; token++) {
      const done = stage.submit(2)
      await clock.advance(130)
      const outcome = await done
      if (outcome.type === 'done') waits.push(outcome.queueMs)
    }
    expect(waits).toHaveLength(3)
    for (const wait of waits) expect(wait).toBeLessThanOrEqual(128)
    expect(clock.monotonic() - begun).toBe(390)
    await clock.advance(1_000)
    expect((await Promise.all(prompt)).map(({ type }) => type)).toEqual(
      Array.from({ length: 6 }, () => 'done')
    )
  })
})

import { KwaaiError, type BlockRunner, type Clock, type KvHandle, type StepFailure } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { createScheduler, type ScheduledStep, type ScheduleLimits } from './scheduler.ts'

/** How a job ended. */
export type JobOutcome =
  | { type: 'done'; hidden: Float32Array; computeMs: number; queueMs: number }
  /** `failure` is what the runner said, where it failed the step alone. */
  | { type: 'failed'; error: unknown; failure?: StepFailure }

/** One step of one session, waiting for the runner. */
export interface Job extends ScheduledStep {
  past: number
  hidden: Float32Array
  /** When it came, in milliseconds of the monotonic clock. */
  arrivedAt: number
  settle: (outcome: JobOutcome) => void
}

/** Hands waiting steps to a runner, one batch at a time. */
export interface Executor {
  /** Jobs that wait. The caller bounds them. */
  readonly waiting: number
  /** Bytes of rows that wait or run. */
  readonly bytes: number
  submit(job: Job): void
  /** Takes back the waiting jobs of a session; none of them is settled. */
  drop(session: KvHandle): Job[]
}

/** Runs what a {@link createScheduler} picks, and waits when it says so. */
export function createExecutor(runner: BlockRunner, clock: Clock, limits: ScheduleLimits): Executor {
  const scheduler = createScheduler<Job>(limits)
  let running = false
  let bytes = 0
  /** Set while a batch is held back. */
  let nap: AbortController | undefined

  const settle = (job: Job, outcome: JobOutcome): void => {
    bytes -= job.hidden.byteLength
    job.settle(outcome)
  }

  const forward = async (
    batch: readonly Job[]
  ): Promise<(Float32Array | StepFailure | { error: unknown })[]> => {
    try {
      return await runner.forward(batch)
    } catch (error) {
      // Where the runner itself is gone there is nothing to try again with.
      if (batch.length === 1 || KwaaiError.is(error, 'ERR_BACKEND_CRASHED'))
        return batch.map(() => ({ error }))
      // One of them spoiled it for all. A step names its past, so running it again is harmless.
      const alone: (Float32Array | StepFailure | { error: unknown })[] = []
      for (const job of batch) alone.push(...(await forward([job])))
      return alone
    }
  }

  const run = async (call: { steps: Job[]; decode: boolean }): Promise<void> => {
    const begun = clock.monotonic()
    const results = await forward(call.steps)
    const ended = clock.monotonic()
    const computeMs = ended - begun
    scheduler.done(call, computeMs, ended)
    for (const [index, job] of call.steps.entries()) {
      const result = results[index]
      if (result instanceof Float32Array) {
        settle(job, { type: 'done', hidden: result, computeMs, queueMs: begun - job.arrivedAt })
      } else {
        const failure = result !== undefined && 'failure' in result ? { failure: result } : {}
        settle(job, { type: 'failed', error: failureOf(result), ...failure })
      }
    }
  }

  /** Until the time is come, or something changes. */
  const hold = async (until: number): Promise<void> => {
    nap = new AbortController()
    await clock.sleep(until - clock.monotonic(), { signal: nap.signal }).catch(() => undefined)
    nap = undefined
  }

  const pump = async (): Promise<void> => {
    if (running) return nap?.abort()
    running = true
    // Frames that came together are handled first, so that they can share a batch.
    await Promise.resolve()
    for (;;) {
      const next = scheduler.pick(clock.monotonic())
      if (next.type === 'idle') break
      if (next.type === 'run') await run(next)
      else if (next.type === 'wait') await hold(next.until)
      else settle(next.step, { type: 'failed', error: lateError() })
    }
    running = false
  }

  return {
    get waiting() {
      return scheduler.waiting
    },
    get bytes() {
      return bytes
    },
    submit(job) {
      bytes += job.hidden.byteLength
      scheduler.add(job, clock.monotonic())
      void pump()
    },
    drop(session) {
      const dropped = scheduler.drop(session)
      for (const job of dropped) bytes -= job.hidden.byteLength
      return dropped
    }
  }
}

function lateError(): Error {
  return shardError('ERR_SHARD_DEADLINE_EXCEEDED', 'Cannot run the step: its time was over before its turn')
}

function failureOf(result: StepFailure | { error: unknown } | undefined): unknown {
  if (result === undefined) return new Error('The runner gave no result')
  if ('error' in result) return result.error
  return shardError(
    'ERR_SHARD_INVALID_VALUES',
    `Cannot run the step: row ${result.row} left the range of numbers`,
    {
      details: { row: result.row }
    }
  )
}

import type { BlockRunner, Clock, KvHandle, RowKernel, StepFailure } from '@kwaai/interface'
import { shardError } from '../errors.ts'

/** How a job ended. */
export type JobOutcome =
  | { type: 'done'; hidden: Float32Array; computeMs: number; queueMs: number }
  | { type: 'failed'; error: unknown }

/** One step of one session, waiting for the runner. */
export interface Job {
  session: KvHandle
  past: number
  rows: number
  hidden: Float32Array
  kernel: RowKernel
  /** When it came, and when it is too late, in milliseconds of the monotonic clock. */
  arrivedAt: number
  deadlineAt: number
  settle: (outcome: JobOutcome) => void
}

/** Limits of one call of the runner. */
export interface BatchLimits {
  maxBatchSteps: number
  maxBatchRows: number
}

/** Hands waiting steps to a runner, one batch at a time. */
export interface Executor {
  /** Jobs that wait. The caller bounds them. */
  readonly waiting: number
  /** Bytes of rows that wait or run. */
  readonly bytes: number
  submit(job: Job): void
  /** Takes back the waiting jobs of a session; none of them is settled. */
  drop(session: KvHandle): void
}

/**
 * Natural batching: whatever waits when the runner becomes free goes together, one step a session, oldest
 * first; nobody waits for company.
 */
export function createExecutor(runner: BlockRunner, clock: Clock, limits: BatchLimits): Executor {
  let waiting: Job[] = []
  let running = false
  let runningBytes = 0

  const take = (): Job[] => {
    const now = clock.monotonic()
    const batch: Job[] = []
    const sessions = new Set<KvHandle>()
    let rows = 0
    for (const job of waiting) {
      // Settling a late job may have dropped the ones behind it.
      if (sessions.has(job.session) || !waiting.includes(job)) continue
      if (job.deadlineAt <= now) {
        waiting = waiting.filter((other) => other !== job)
        job.settle({
          type: 'failed',
          error: shardError(
            'ERR_SHARD_DEADLINE_EXCEEDED',
            'Cannot run the step: its time was over before its turn'
          )
        })
        continue
      }
      if (batch.length > 0 && (batch.length >= limits.maxBatchSteps || rows + job.rows > limits.maxBatchRows))
        break
      batch.push(job)
      sessions.add(job.session)
      rows += job.rows
    }
    waiting = waiting.filter((job) => !batch.includes(job))
    return batch
  }

  const forward = async (
    batch: readonly Job[]
  ): Promise<(Float32Array | StepFailure | { error: unknown })[]> => {
    try {
      return await runner.forward(batch)
    } catch (error) {
      if (batch.length === 1) return [{ error }]
      // One of them spoiled it for all. A step names its past, so running it again is harmless.
      const alone: (Float32Array | StepFailure | { error: unknown })[] = []
      for (const job of batch) alone.push(...(await forward([job])))
      return alone
    }
  }

  const pump = async (): Promise<void> => {
    if (running) return
    running = true
    // Frames that came together are handled first, so that they can share a batch.
    await Promise.resolve()
    for (let batch = take(); batch.length > 0; batch = take()) {
      const begun = clock.monotonic()
      runningBytes = bytesOf(batch)
      const results = await forward(batch)
      const computeMs = clock.monotonic() - begun
      for (const [index, job] of batch.entries()) {
        const result = results[index]
        if (result instanceof Float32Array) {
          job.settle({ type: 'done', hidden: result, computeMs, queueMs: begun - job.arrivedAt })
        } else job.settle({ type: 'failed', error: failureOf(result) })
      }
    }
    running = false
    runningBytes = 0
  }

  return {
    get waiting() {
      return waiting.length
    },
    get bytes() {
      return runningBytes + bytesOf(waiting)
    },
    submit(job) {
      waiting.push(job)
      void pump()
    },
    drop(session) {
      waiting = waiting.filter((job) => job.session !== session)
    }
  }
}

function bytesOf(jobs: readonly Job[]): number {
  return jobs.reduce((sum, job) => sum + job.hidden.byteLength, 0)
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

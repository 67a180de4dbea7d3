import type { BlockRunner, BlockStep, Clock, StepFailure } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { createExecutor, type Job } from './executor.ts'
import type { ScheduleLimits } from './scheduler.ts'

/** How calls of a runner are gathered. */
export interface BatchedRunnerInit extends Partial<ScheduleLimits> {
  /** Steps that wait; the next call is refused. Default 4,096. */
  maxWaiting?: number
}

/**
 * The same runner for many callers at once: single steps of different sessions share calls as at a block server, and
 * prompts do not keep generated rows waiting. A step gets the bits it has alone.
 *
 * A call that is aborted rejects at once; its steps may still run, which is harmless, since a step names the rows before
 * it. Those of a session that is closed do not. `trim`, `exportKv` and `importKv` go to the runner at once, past steps
 * that wait: call them when the session's steps are done.
 */
export function batchedRunner(
  runner: BlockRunner,
  components: { clock: Clock },
  init: BatchedRunnerInit = {}
): BlockRunner {
  const { clock } = components
  const {
    maxWaiting = 4_096,
    maxBatchSteps = 8,
    maxPrefillRows = 128,
    decodeGroups = 1,
    maxHoldMs = 10
  } = init
  const executor = createExecutor(runner, clock, { maxBatchSteps, maxPrefillRows, decodeGroups, maxHoldMs })

  const run = (step: BlockStep): Promise<Float32Array | StepFailure> =>
    new Promise((resolve, reject) => {
      executor.submit({
        ...step,
        // The caller may use its memory again.
        hidden: step.hidden.slice(),
        rows: step.hidden.length / runner.shape.hiddenSize,
        peer: '',
        arrivedAt: clock.monotonic(),
        deadlineAt: Infinity,
        settle(outcome) {
          if (outcome.type === 'done') resolve(outcome.hidden)
          else if (outcome.failure !== undefined) resolve(outcome.failure)
          else reject(outcome.error)
        }
      })
    })
  const end = (jobs: readonly Job[]): void => {
    for (const job of jobs) job.settle({ type: 'failed', error: closed() })
  }

  return {
    ...runner,
    forward(steps, { signal } = {}) {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        if (executor.waiting + steps.length > maxWaiting) throw busy(maxWaiting)
        const abort = (): void => reject(signal?.reason)
        signal?.addEventListener('abort', abort, { once: true })
        Promise.all(steps.map(run))
          .then(resolve, reject)
          .finally(() => signal?.removeEventListener('abort', abort))
      })
    },
    close(session) {
      end(executor.drop(session))
      return runner.close(session)
    },
    [Symbol.asyncDispose]: () => runner[Symbol.asyncDispose]()
  }
}

function busy(limit: number): Error {
  return shardError('ERR_BACKEND_BUSY', `Cannot take the call: ${limit} steps are waiting`, {
    details: { limit }
  })
}

function closed(): Error {
  return shardError('ERR_BACKEND_CLOSED', 'Cannot run the step: the session was closed')
}

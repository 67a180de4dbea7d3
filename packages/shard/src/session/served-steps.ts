import type { KvHandle } from '@kwaai/interface'
import { findBadRow } from '../bad-row.ts'
import { shardError } from '../errors.ts'
import type { Step } from '../gen/shard_pb.ts'
import type { JobOutcome } from './executor.ts'
import type { LedgerStep, StepLedger } from './ledger.ts'
import type { StepTravel } from './next-hop.ts'
import { wantedRows, type Outlet } from './outlet.ts'
import { bytesToRows, rowsToBytes } from './rows.ts'
import type { ServerState } from './serve-channel.ts'
import type { SessionFacts } from './served-session.ts'
import { checkStep } from './server-checks.ts'
import type { StepLog } from './step-log.ts'

/** What the steps of a session run with. */
export interface ServedStepsInit {
  session: SessionFacts
  ledger: StepLedger
  /** The session's own results, where it was opened to hand them on. */
  log: StepLog | undefined
  outlet: Outlet
  /** Answers under way to the caller. */
  unsent: () => number
  /** Tells the caller of a step that failed. */
  fail: (step: number, error: unknown) => void
}

/** The steps of one session, from their frame to their result. */
export interface ServedSteps {
  begin(handle: KvHandle): void
  /**
   * Runs a step, or answers it again. What it returns is to be waited for before the next one.
   *
   * @throws A KwaaiError that says what is wrong with the step; nothing has changed then.
   */
  admit(step: Step, payload: Uint8Array): Promise<void> | undefined
  /** While there is no room for so many bytes of rows: a promise of the next moment to look again, for one who asks. */
  room(bytes: number): Promise<void> | undefined
}

/** Makes the steps of a session that is not open yet. */
export function createServedSteps(init: ServedStepsInit, state: ServerState): ServedSteps {
  const { session, ledger, log, outlet } = init
  const { settings, executor } = state
  const { clock, runner, tracer } = state.components
  const { hiddenSize } = runner.shape
  let handle: KvHandle | undefined
  let wake: (() => void) | undefined

  const fail = (step: number, error: unknown): void => {
    const after = ledger.undo(step)
    if (handle !== undefined) executor.drop(handle)
    init.fail(step, error)
    for (const later of after) {
      init.fail(
        later,
        shardError('ERR_SHARD_STEP_GAP', `Cannot run step ${later}: step ${step} before it failed`)
      )
    }
  }

  const finish = (request: LedgerStep, travel: StepTravel, outcome: JobOutcome): void => {
    if (outcome.type === 'failed') return fail(request.step, outcome.error)
    const { hidden, computeMs, queueMs } = outcome
    if (hidden.length !== request.rows * hiddenSize) {
      return fail(request.step, new Error('The runner gave a result of another size'))
    }
    session.heardAt = clock.monotonic()
    const rows = owned(log === undefined ? wantedRows(hidden, request.wanted, hiddenSize) : hidden)
    ledger.complete(request.step, rows)
    log?.append({ ...contentOf(request), data: rowsToBytes(rows) })
    state.onStep(request.rows, computeMs, session.peer)
    outlet.deliver({ request, rows, travel, computeMs, queueMs })
  }

  const isFull = (bytes: number): boolean =>
    ledger.pending >= settings.maxPendingSteps || executor.bytes + bytes > settings.maxPendingBytes

  const checkRoom = (step: Step, payload: Uint8Array): void => {
    const unread = init.unsent() > 2 * settings.maxPendingSteps
    if (!unread && !isFull(payload.length)) return
    const many = unread || ledger.pending >= settings.maxPendingSteps
    const why = many ? `${settings.maxPendingSteps} steps of the session` : 'too many rows of all sessions'
    throw shardError('ERR_SHARD_OVERLOADED', `Cannot run step ${step.step}: ${why} wait already`)
  }

  return {
    begin(opened) {
      handle = opened
    },
    room(bytes) {
      // Without a step of its own nothing would tell when to look again: then it is refused instead.
      if (ledger.pending === 0 || !isFull(bytes)) return undefined
      return new Promise((resolve) => {
        wake = resolve
      })
    },
    admit(step, payload) {
      if (handle === undefined) throw new Error('The session is not open')
      const request = checkStep(step, payload, session.key, runner, settings)
      const hidden = bytesToRows(payload)
      const bad = findBadRow(hidden, hiddenSize)
      if (bad !== undefined) {
        throw shardError(
          'ERR_SHARD_INVALID_VALUES',
          `Cannot run step ${step.step}: row ${bad.row} holds values no model makes`,
          { details: { row: bad.row } }
        )
      }
      // A repeat takes no room, so it is never too many.
      if (step.step > ledger.last) checkRoom(step, payload)
      const verdict = ledger.admit(request)
      if (verdict.type === 'wait') return undefined
      const arrivedAt = clock.monotonic()
      const { traceparent, stamps } = step
      const deadlineAt = step.deadlineMs === 0 ? Infinity : arrivedAt + step.deadlineMs
      const travel = { deadlineAt, traceparent, stamps }
      if (verdict.type === 'repeat') {
        return outlet.repeat({ request, rows: verdict.result, travel, computeMs: 0, queueMs: 0 })
      }
      const span = tracer?.start('shard.step', traceparent === '' ? {} : { parent: traceparent })
      executor.submit({
        session: handle,
        peer: session.peer,
        past: request.past,
        rows: request.rows,
        hidden,
        kernel: request.kernel,
        arrivedAt,
        deadlineAt,
        settle: (outcome) => {
          span?.end({ step: step.step, rows: step.rows, outcome: outcome.type })
          if (session.ended.signal.aborted) return
          finish(request, travel, outcome)
          wake?.()
        }
      })
      return undefined
    }
  }
}

function contentOf({
  step,
  past,
  rows,
  kernel,
  wanted
}: LedgerStep): Omit<LedgerStep, 'payload' | 'previous'> {
  return { step, past, rows, kernel, wanted }
}

/** Rows in memory of their own: a view would keep all rows of a batch. */
function owned(rows: Float32Array): Float32Array {
  return rows.byteLength === rows.buffer.byteLength ? rows : rows.slice()
}

import { KwaaiError } from '@kwaai/interface'
import { maxJoining } from '../constants.ts'
import { shardError } from '../errors.ts'
import type { Hop, Route } from '../gen/shard_pb.ts'
import { failureFrame } from './failure.ts'
import type { LedgerStep } from './ledger.ts'
import type { FrameInit } from './messages.ts'
import { joinNext, type HopStamp, type NextHop, type StepTravel } from './next-hop.ts'
import { rowsToBytes } from './rows.ts'
import type { ServerState } from './serve-channel.ts'
import type { LoggedStep, StepLog } from './step-log.ts'

/** A step that is done. */
export interface DoneStep {
  request: LedgerStep
  /** All rows, or those wanted where nothing else is kept. */
  rows: Float32Array
  /** As it came; its stamps are those of the hops before. */
  travel: StepTravel
  computeMs: number
  queueMs: number
}

/** What an outlet needs of its session. */
export interface OutletInit {
  key: Uint8Array
  ended: AbortController
  /** The session's own results, where it was opened to hand them on. */
  log: StepLog | undefined
  /** Sends a frame to the caller; waits while the caller does not read. */
  send: (body: FrameInit, payload?: Uint8Array) => Promise<void>
  /** The same without waiting. */
  post: (body: FrameInit, payload?: Uint8Array) => void
}

/** Where the results of one session go: back to its caller, or on to the next server. */
export interface Outlet {
  /** Sends the result of a step; its rows are in the log already. */
  deliver(done: DoneStep): void
  /** Sends the result of a repeated step once more. */
  repeat(done: DoneStep): Promise<void> | undefined
  /** Takes the place of the route before. `last` is the last step the session admitted. */
  turn(route: Route, last: number): void
  close(): void
}

/** Makes the outlet of a new session: everything goes to the caller. */
export function createOutlet(init: OutletInit, state: ServerState): Outlet {
  const { key, ended, log, send, post } = init
  const { runner } = state.components
  const { maxPendingSteps } = state.settings
  const { hiddenSize } = runner.shape
  let current = new AbortController()
  let toCaller = true
  let next: NextHop | undefined
  // Steps up to this one were sent for another route: the caller gets all of their rows.
  let wholeUntil = 0
  let catchingUp = false
  let joining = Promise.resolve()

  const wantedOf = ({ step, wanted }: LoggedStep | LedgerStep): 'none' | 'last' | 'all' =>
    step <= wholeUntil ? 'all' : wanted

  /** With the stamp of this hop. */
  const travelOf = ({ travel, computeMs, queueMs }: DoneStep): StepTravel => {
    const { from, to } = runner
    const own: HopStamp = { from, to, computeUs: microseconds(computeMs), queueUs: microseconds(queueMs) }
    return { ...travel, stamps: [...travel.stamps, own] }
  }

  const resultOf = (done: DoneStep): [FrameInit, Uint8Array] => {
    const { request, computeMs, queueMs, travel } = done
    const rows = wantedRows(done.rows, wantedOf(request), hiddenSize)
    const value = {
      session: key,
      step: request.step,
      rows: rows.length / hiddenSize,
      past: request.past + request.rows,
      computeUs: microseconds(computeMs),
      queueUs: microseconds(queueMs),
      residual: 'f32',
      stamps: [...travel.stamps]
    }
    return [{ case: 'result', value }, rowsToBytes(rows)]
  }

  /** Sends what the log has and the caller has not, then goes on with what is new. */
  const catchUp = async (from: number, history: StepLog, signal: AbortSignal): Promise<void> => {
    catchingUp = true
    let cursor = from
    try {
      while (!signal.aborted) {
        const [step] = history.resume({ last: cursor, answered: 0, maxRows: 1, maxSteps: 1 })
        if (step === undefined) {
          catchingUp = false
          return
        }
        cursor = step.step
        const data = wantedRows(step.data, wantedOf(step), 4 * hiddenSize)
        const value = {
          session: key,
          step: step.step,
          rows: data.length / (4 * hiddenSize),
          past: step.past + step.rows,
          residual: 'f32'
        }
        await send({ case: 'result', value }, data)
      }
    } catch (error) {
      ended.abort(error)
    }
  }

  const join = async (route: Route, after: Hop, history: StepLog, signal: AbortSignal): Promise<void> => {
    try {
      signal.throwIfAborted()
      if (state.joining >= maxJoining) {
        throw shardError('ERR_SHARD_OVERLOADED', 'Cannot hand rows on: too many joins are under way', {
          details: { retryAfterMs: 1_000 }
        })
      }
      state.joining++
      const link = await joinNext(
        {
          after,
          log: history,
          answered: route.answered,
          maxUnsent: 2 * maxPendingSteps,
          onLost: (error) => {
            if (next === link) next = undefined
            const lost = shardError('ERR_SHARD_NEXT_LOST', `Cannot hand rows on: ${after.peer} is lost`, {
              details: { ...remoteCodeOf(error), peer: after.peer, route: route.route }
            })
            post(failureFrame(key, 0, lost))
          }
        },
        state,
        AbortSignal.any([signal, ended.signal])
      ).finally(() => state.joining--)
      if (signal.aborted) {
        link.close()
        throw signal.reason
      }
      next = link
      post({ case: 'routed', value: { session: key, route: route.route } })
      link.begin()
    } catch (error) {
      if (!ended.signal.aborted) post(failureFrame(key, 0, error, route.route))
    }
  }

  const stop = (why: string): void => {
    current.abort(shardError('ERR_SHARD_PUSH_REFUSED', `Cannot hand rows on: ${why}`))
    next?.close()
    next = undefined
  }

  return {
    deliver(done) {
      if (!toCaller) next?.push(done.request.step, travelOf(done))
      else if (!catchingUp) post(...resultOf(done))
    },
    repeat(done) {
      if (toCaller) return send(...resultOf(done))
      const { request, rows } = done
      next?.repeat({ ...request, data: rowsToBytes(rows) }, travelOf(done))
      return undefined
    },
    turn(route, last) {
      stop('another route took its place')
      current = new AbortController()
      const { signal } = current
      const { after } = route
      toCaller = after === undefined
      catchingUp = false
      if (after !== undefined && log !== undefined) {
        joining = joining.then(() => join(route, after, log, signal))
        return
      }
      wholeUntil = log === undefined ? 0 : last
      post({ case: 'routed', value: { session: key, route: route.route } })
      if (log !== undefined) void catchUp(route.last, log, signal)
    },
    close: () => stop('the session is over')
  }
}

/** Of rows, `width` numbers or bytes each, those that are wanted: the same memory. */
export function wantedRows<Rows extends Float32Array | Uint8Array>(
  rows: Rows,
  wanted: 'none' | 'last' | 'all',
  width: number
): Rows {
  if (wanted === 'all') return rows
  return rows.subarray(wanted === 'last' ? Math.max(0, rows.length - width) : rows.length) as Rows
}

function microseconds(ms: number): number {
  return Math.max(0, Math.round(1000 * ms))
}

function remoteCodeOf(error: unknown): Record<string, unknown> {
  const code = KwaaiError.is(error) ? error.details['remoteCode'] : undefined
  return code === undefined ? {} : { remoteCode: code }
}

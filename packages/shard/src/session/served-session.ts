import {
  deadlineSignal,
  KwaaiError,
  type BlockRunner,
  type Channel,
  type KvHandle,
  type PeerId
} from '@kwaai/interface'
import { bytesToHex } from '@noble/hashes/utils.js'
import { findBadRow } from '../bad-row.ts'
import { shardError } from '../errors.ts'
import type { Open, Step } from '../gen/shard_pb.ts'
import type { Admission } from './admission.ts'
import type { Executor, JobOutcome } from './executor.ts'
import { failureFrame } from './failure.ts'
import { createStepLedger, type LedgerStep, type StepLedger } from './ledger.ts'
import { decodeFrame, encodeFrame, type FrameInit } from './messages.ts'
import { bytesToRows, equalBytes, rowsToBytes } from './rows.ts'
import { checkOpen, checkStep } from './server-checks.ts'
import type { BlockServerComponents, BlockServerSettings } from './server.ts'
import { reportViolation } from './violations.ts'

/** Milliseconds the last frame of a channel may take before the channel is cut. */
const farewellMs = 5_000

/** What all channels of one server share. */
export interface ServerState {
  settings: BlockServerSettings
  components: BlockServerComponents
  admission: Admission
  executor: Executor
  /** Open sessions by their key in hex. */
  sessions: Map<string, ServedSession>
  onStep(rows: number, computeMs: number, peer: PeerId): void
}

/** One caller's session at this server. */
export interface ServedSession {
  readonly key: Uint8Array
  readonly peer: PeerId
  /** Ends the session, with the reason that is told to the caller. */
  readonly ended: AbortController
  /** When the caller was last heard, or last given a result, in milliseconds of the monotonic clock. */
  heardAt: number
  /** True while steps wait or run: the session is not idle then. */
  busy(): boolean
}

/** Answers one channel from its first frame to its end; never rejects. */
export async function serveChannel(
  channel: Channel,
  ended: AbortController,
  state: ServerState
): Promise<void> {
  const { clock, evidence, logger, runner } = state.components
  const { settings, sessions, admission, executor } = state
  let key: Uint8Array = new Uint8Array(0)
  let release: (() => void) | undefined
  let handle: KvHandle | undefined

  /** Waits while the caller does not read; so a flood of bad frames slows the caller down, nobody else. */
  const send = (body: FrameInit, payload?: Uint8Array): Promise<void> =>
    channel.send(encodeFrame(body, payload), { signal: ended.signal })

  const open = async (): Promise<
    { session: ServedSession; handle: KvHandle; ledger: StepLedger } | undefined
  > => {
    const timer = deadlineSignal(
      clock,
      settings.openTimeoutMs,
      () => shardError('ERR_SHARD_DEADLINE_EXCEEDED', 'Cannot open a session: its first frame did not come'),
      ended.signal
    )
    try {
      const bytes = await channel.receive({ signal: timer.signal })
      if (bytes === undefined) return undefined
      const { body } = decodeFrame(bytes, settings)
      key = body.value.session
      if (body.case !== 'open') {
        throw shardError('ERR_SHARD_SESSION_FOREIGN', 'Cannot run the step: this channel has no session')
      }
      checkOpen(body.value, settings, runner)
      await authorize(body.value, channel.peer, state, timer.signal)
      const id = bytesToHex(key)
      const other = sessions.get(id)
      if (other !== undefined) {
        const owner = other.peer === channel.peer ? 'another channel' : 'another caller'
        throw shardError('ERR_SHARD_SESSION_FOREIGN', `Cannot open the session: its key belongs to ${owner}`)
      }
      // From here to the next await nothing else runs: what was checked still holds when it is taken.
      const reservation = admission.reserve(channel.peer, body.value.maxTokens * runner.kvBytesPerToken)
      const ledger = createStepLedger({
        maxTokens: body.value.maxTokens,
        maxKeptSteps: settings.maxPendingSteps,
        maxKeptBytes: settings.maxKeptBytes
      })
      const session: ServedSession = {
        key,
        peer: channel.peer,
        ended,
        heardAt: clock.monotonic(),
        busy: () => ledger.pending > 0
      }
      sessions.set(id, session)
      release = () => {
        sessions.delete(id)
        reservation.release()
      }
      handle = await openRunner(runner, body.value.maxTokens)
      ended.signal.throwIfAborted()
      return { session, handle, ledger }
    } finally {
      timer.clear()
    }
  }

  try {
    const opened = await open()
    if (opened === undefined) return await channel.close()
    await send({
      case: 'opened',
      value: {
        session: key,
        numericsClass: settings.numericsClass,
        hiddenSize: runner.shape.hiddenSize,
        maxPendingSteps: settings.maxPendingSteps,
        maxStepRows: settings.maxStepRows,
        idleTimeoutMs: settings.idleTimeoutMs
      }
    })
    await runSession(channel, opened, state, send)
    await channel.close()
  } catch (error) {
    if (KwaaiError.is(error) && error.code.startsWith('ERR_NETWORK_')) channel.abort()
    else {
      logger?.log('warn', 'shard.session.ended', { peer: channel.peer, error: codeOf(error) })
      reportViolation(channel.peer, error, evidence)
      await farewell(channel, failureFrame(key, 0, error), state)
    }
  } finally {
    ended.abort(shardError('ERR_SHARD_STOPPED', 'The session is closed'))
    if (handle !== undefined) {
      executor.drop(handle)
      await runner.close(handle).catch(() => undefined)
    }
    release?.()
  }
}

async function runSession(
  channel: Channel,
  opened: { session: ServedSession; handle: KvHandle; ledger: StepLedger },
  state: ServerState,
  send: (body: FrameInit, payload?: Uint8Array) => Promise<void>
): Promise<void> {
  const { clock, evidence, runner, tracer } = state.components
  const { settings, executor } = state
  const { session, handle, ledger } = opened
  const { ended } = session
  const { hiddenSize } = runner.shape
  let unsent = 0

  const reply = (
    step: number,
    length: number,
    rows: Float32Array,
    computeMs: number,
    queueMs: number
  ): Promise<void> =>
    send(
      {
        case: 'result',
        value: {
          session: session.key,
          step,
          rows: rows.length / hiddenSize,
          past: length,
          computeUs: Math.round(1000 * computeMs),
          queueUs: Math.round(1000 * queueMs),
          residual: 'f32'
        }
      },
      rowsToBytes(rows)
    )

  /** Sends without holding up the runner; the number of replies in flight counts as steps still pending. */
  const post = (sending: Promise<void>): void => {
    unsent++
    sending
      .catch((error: unknown) => ended.abort(error))
      .finally(() => unsent--)
      .catch(() => undefined)
  }

  const fail = (step: number, error: unknown): void => {
    const after = ledger.undo(step)
    executor.drop(handle)
    post(send(failureFrame(session.key, step, error)))
    for (const later of after) {
      const gap = shardError('ERR_SHARD_STEP_GAP', `Cannot run step ${later}: step ${step} before it failed`)
      post(send(failureFrame(session.key, later, gap)))
    }
  }

  const settle = (request: LedgerStep, outcome: JobOutcome): void => {
    if (ended.signal.aborted) return
    if (outcome.type === 'failed') return fail(request.step, outcome.error)
    const { hidden, computeMs, queueMs } = outcome
    if (hidden.length !== request.rows * hiddenSize) {
      return fail(request.step, new Error('The runner gave a result of another size'))
    }
    session.heardAt = clock.monotonic()
    const rows = wantedRows(hidden, request.wanted, hiddenSize)
    ledger.complete(request.step, rows)
    state.onStep(request.rows, computeMs, session.peer)
    post(reply(request.step, request.past + request.rows, rows, computeMs, queueMs))
  }

  const checkRoom = (step: Step, payload: Uint8Array): void => {
    const many = ledger.pending >= settings.maxPendingSteps || unsent > 2 * settings.maxPendingSteps
    if (!many && executor.bytes + payload.length <= settings.maxPendingBytes) return
    const why = many ? `${settings.maxPendingSteps} steps of the session` : 'too many rows of all sessions'
    throw shardError('ERR_SHARD_OVERLOADED', `Cannot run step ${step.step}: ${why} wait already`)
  }

  const admit = async (step: Step, payload: Uint8Array): Promise<void> => {
    const request = checkStep(step, payload, session, runner, settings)
    const hidden = bytesToRows(payload)
    const bad = findBadRow(hidden, hiddenSize)
    if (bad !== undefined) {
      throw shardError(
        'ERR_SHARD_INVALID_VALUES',
        `Cannot run step ${step.step}: row ${bad.row} holds values no model makes`,
        {
          details: { row: bad.row }
        }
      )
    }
    // A repeat takes no room, so it is never too many.
    if (step.step > ledger.last) checkRoom(step, payload)
    const verdict = ledger.admit(request)
    if (verdict.type === 'repeat') return reply(step.step, verdict.length, verdict.result, 0, 0)
    if (verdict.type === 'wait') return
    const parent = step.traceparent === '' ? {} : { parent: step.traceparent }
    const span = tracer?.start('shard.step', parent)
    const arrivedAt = clock.monotonic()
    executor.submit({
      session: handle,
      past: request.past,
      rows: request.rows,
      hidden,
      kernel: request.kernel,
      arrivedAt,
      deadlineAt: step.deadlineMs === 0 ? Infinity : arrivedAt + step.deadlineMs,
      settle: (outcome) => {
        span?.end({ step: step.step, rows: step.rows, outcome: outcome.type })
        settle(request, outcome)
      }
    })
  }

  for (;;) {
    const bytes = await channel.receive({ signal: ended.signal })
    if (bytes === undefined) return
    const { body, payload } = decodeFrame(bytes, settings)
    session.heardAt = clock.monotonic()
    if (body.case === 'close' && equalBytes(body.value.session, session.key)) return
    if (body.case !== 'step') {
      throw shardError(
        'ERR_SHARD_INVALID_FRAME',
        `Cannot read the frame: a message "${body.case}" has no place here`
      )
    }
    try {
      await admit(body.value, payload)
    } catch (error) {
      ended.signal.throwIfAborted()
      reportViolation(session.peer, error, evidence)
      await send(failureFrame(body.value.session, body.value.step, error))
    }
  }
}

function wantedRows(hidden: Float32Array, wanted: LedgerStep['wanted'], hiddenSize: number): Float32Array {
  if (wanted === 'all') return hidden
  // A copy, so that the rows nobody asked for can go.
  return wanted === 'last' ? hidden.slice(hidden.length - hiddenSize) : new Float32Array(0)
}

async function authorize(open: Open, peer: PeerId, state: ServerState, signal: AbortSignal): Promise<void> {
  try {
    await state.components.authorizer?.authorize(
      { peer, command: 'shard/open', capability: open.authorization },
      { signal }
    )
  } catch (error) {
    signal.throwIfAborted()
    const why = KwaaiError.is(error, 'ERR_UNAUTHORIZED') ? error.message : 'the authorizer failed'
    throw shardError('ERR_SHARD_UNAUTHORIZED', `Cannot open the session: ${why}`, { cause: error })
  }
}

async function openRunner(runner: BlockRunner, maxTokens: number): Promise<KvHandle> {
  try {
    return await runner.open({ maxTokens })
  } catch (error) {
    throw shardError('ERR_SHARD_SERVER_FULL', 'Cannot open the session: the backend has no room for it', {
      cause: error,
      details: { retryAfterMs: 5_000 }
    })
  }
}

/** The last word on a channel; a caller that does not read it gets a reset. */
async function farewell(channel: Channel, body: FrameInit, state: ServerState): Promise<void> {
  const { clock } = state.components
  const timer = deadlineSignal(clock, farewellMs, () => new Error('The caller does not read'))
  try {
    await channel.send(encodeFrame(body), { signal: timer.signal })
    await channel.close()
  } catch {
    channel.abort()
  } finally {
    timer.clear()
  }
}

function codeOf(error: unknown): string {
  return KwaaiError.is(error) ? error.code : 'unknown'
}

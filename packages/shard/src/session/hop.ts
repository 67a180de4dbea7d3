import type { Channel, Clock, Network, PeerId, RowKernel } from '@kwaai/interface'
import { hexToBytes } from '@noble/hashes/utils.js'
import { shardProtocol } from '../constants.ts'
import { findBadRow } from '../bad-row.ts'
import { shardError, type ShardErrorCode } from '../errors.ts'
import type { Opened, Result } from '../gen/shard_pb.ts'
import { errorOf } from './failure.ts'
import { decodeFrame, encodeFrame } from './messages.ts'
import { bytesToRows, equalBytes, rowsToBytes } from './rows.ts'

/** One server of a planned chain. */
export interface PlannedHop {
  peer: PeerId
  /** First block. */
  from: number
  /** One past the last block. */
  to: number
  /** The class counted on; a server of another one refuses. Default: any. */
  numericsClass?: string
}

/** What a session at one hop is opened with. */
export interface HopInit {
  hop: PlannedHop
  modelHash: string
  /** The session's key at this hop. */
  session: Uint8Array
  hiddenSize: number
  maxTokens: number
  maxFrameBytes: number
  /** Milliseconds the caller waits for the answer; told to the server. */
  openTimeoutMs: number
  authorization: Uint8Array
  traceparent: string
}

/** One step at one hop. */
export interface HopStep {
  step: number
  past: number
  rows: number
  kernel: RowKernel
  wanted: 'none' | 'last' | 'all'
  hidden: Float32Array
  /** Milliseconds left. */
  budgetMs: number
}

/** What a hop did so far. */
export interface HopStats extends PlannedHop {
  steps: number
  rows: number
  /** Milliseconds the server computed, as it says. */
  computeMs: number
  /** Milliseconds steps waited at the server, as it says. */
  queueMs: number
  /** Milliseconds between a step's sending and its result. */
  roundTripMs: number
}

/** An open session at one server. */
export interface HopLink {
  readonly hop: Required<PlannedHop>
  readonly opened: Opened
  stats(): HopStats
  /** Runs a step; steps are answered in the order they are given. */
  run(step: HopStep): Promise<Float32Array>
  /** Ends the session in good order. */
  close(): Promise<void>
  /** Ends it at once; the server drops what waits. */
  abort(error: unknown): void
}

interface Pending extends Omit<HopStep, 'hidden' | 'budgetMs'> {
  sentAt: number
  resolve: (rows: Float32Array) => void
  reject: (error: unknown) => void
}

/** "12D3Koo… (blocks 10 to 19)": how errors name a hop. */
export function nameOf(hop: PlannedHop): string {
  return `${hop.peer} (blocks ${hop.from} to ${hop.to - 1})`
}

/** An error about one hop, with the facts callers branch on. */
export function hopError(
  code: ShardErrorCode,
  hop: PlannedHop,
  step: number,
  why: string,
  cause?: unknown
): Error {
  const what = step === 0 ? 'Cannot open the session' : `Cannot run step ${step}`
  return shardError(code, `${what}: ${nameOf(hop)} ${why}`, {
    cause,
    details: { peer: hop.peer, from: hop.from, to: hop.to, step }
  })
}

/**
 * Opens a session at one server. `signal` bounds the opening.
 *
 * @param onLost - told once when the session cannot go on, whatever the reason.
 * @throws A KwaaiError `ERR_SHARD_HOP_FAILED` when the server cannot be reached or goes away, or the code with
 * which it refuses.
 */
export async function openHop(
  init: HopInit,
  components: { network: Network; clock: Clock },
  signal: AbortSignal,
  onLost: (error: unknown) => void
): Promise<HopLink> {
  const { hop, maxFrameBytes } = init
  let channel: Channel | undefined
  try {
    channel = await components.network.open(hop.peer, shardProtocol, { signal, maxFrameBytes })
    const opened = await greet(channel, init, signal)
    return createLink(channel, opened, init, components.clock, onLost)
  } catch (error) {
    channel?.abort()
    signal.throwIfAborted()
    if (error instanceof HopRefusal) throw error.reason
    throw hopError('ERR_SHARD_HOP_FAILED', hop, 0, 'is not reached or went away', error)
  }
}

/** Carries an error that already says everything past the one place that wraps the others. */
class HopRefusal {
  readonly reason: Error
  constructor(reason: Error) {
    this.reason = reason
  }
}

async function greet(channel: Channel, init: HopInit, signal: AbortSignal): Promise<Opened> {
  const { hop } = init
  await channel.send(
    encodeFrame({
      case: 'open',
      value: {
        session: init.session,
        model: hexToBytes(init.modelHash),
        from: hop.from,
        to: hop.to,
        maxTokens: init.maxTokens,
        residual: 'f32',
        numericsClass: hop.numericsClass ?? '',
        authorization: init.authorization,
        traceparent: init.traceparent,
        deadlineMs: init.openTimeoutMs
      }
    }),
    { signal }
  )
  const bytes = await channel.receive({ signal })
  if (bytes === undefined) throw new Error('The server closed the channel')
  const { body } = decodeFrame(bytes, init)
  const facts = { peer: hop.peer, from: hop.from, to: hop.to, step: 0 }
  if (body.case === 'failure') throw new HopRefusal(errorOf(body.value, facts))
  const fits =
    body.case === 'opened' &&
    equalBytes(body.value.session, init.session) &&
    body.value.hiddenSize === init.hiddenSize &&
    (hop.numericsClass === undefined || body.value.numericsClass === hop.numericsClass)
  if (!fits) throw new HopRefusal(hopError('ERR_SHARD_INVALID_RESULT', hop, 0, 'answers with something else'))
  return body.value
}

function createLink(
  channel: Channel,
  opened: Opened,
  init: HopInit,
  clock: Clock,
  onLost: (error: unknown) => void
): HopLink {
  const { session, hiddenSize } = init
  const hop: Required<PlannedHop> = { ...init.hop, numericsClass: opened.numericsClass }
  const pending: Pending[] = []
  const totals = { steps: 0, rows: 0, computeMs: 0, queueMs: 0, roundTripMs: 0 }
  let answered = 0
  let lost: { error: unknown } | undefined

  const lose = (error: unknown): void => {
    if (lost !== undefined) return
    lost = { error }
    channel.abort()
    for (const one of pending.splice(0)) one.reject(error)
    onLost(error)
  }
  const currentStep = (): number => pending[0]?.step ?? answered + 1

  const take = (result: Result, payload: Uint8Array): void => {
    // A second answer to the same step says nothing new.
    if (result.step <= answered) return
    const [first] = pending
    const wrong =
      first === undefined ? 'answers a step nobody sent' : checkResult(result, payload, first, init)
    if (first === undefined || wrong !== undefined) {
      return lose(hopError('ERR_SHARD_INVALID_RESULT', hop, currentStep(), wrong ?? ''))
    }
    const rows = bytesToRows(payload)
    const bad = findBadRow(rows, hiddenSize)
    if (bad !== undefined) {
      return lose(
        hopError('ERR_SHARD_INVALID_RESULT', hop, first.step, `sent values no model makes in row ${bad.row}`)
      )
    }
    pending.shift()
    answered = first.step
    totals.steps++
    totals.rows += first.rows
    totals.computeMs += result.computeUs / 1000
    totals.queueMs += result.queueUs / 1000
    totals.roundTripMs += clock.monotonic() - first.sentAt
    first.resolve(rows)
  }

  const listen = async (): Promise<void> => {
    try {
      for (;;) {
        const bytes = await channel.receive()
        if (lost !== undefined) return
        if (bytes === undefined) throw new Error('The server closed the channel')
        const { body, payload } = decodeFrame(bytes, init)
        if (body.case === 'result') take(body.value, payload)
        else if (body.case === 'failure') {
          const { step } = body.value
          lose(
            errorOf(body.value, { peer: hop.peer, from: hop.from, to: hop.to, step: step || currentStep() })
          )
        } else lose(hopError('ERR_SHARD_INVALID_RESULT', hop, currentStep(), `sent a message "${body.case}"`))
      }
    } catch (error) {
      lose(hopError('ERR_SHARD_HOP_FAILED', hop, currentStep(), 'is gone', error))
    }
  }
  void listen()

  return {
    hop,
    opened,
    stats: () => ({ ...hop, ...totals }),
    run: (step) =>
      new Promise((resolve, reject) => {
        if (lost !== undefined) return reject(lost.error)
        const { hidden, budgetMs, ...asked } = step
        pending.push({ ...asked, sentAt: clock.monotonic(), resolve, reject })
        const body = {
          case: 'step' as const,
          value: {
            session,
            step: step.step,
            previous: step.step - 1,
            from: hop.from,
            to: hop.to,
            past: step.past,
            rows: step.rows,
            kernel: step.kernel,
            wanted: step.wanted,
            residual: 'f32',
            deadlineMs: Math.max(1, Math.ceil(budgetMs)),
            traceparent: init.traceparent
          }
        }
        channel.send(encodeFrame(body, rowsToBytes(hidden))).catch((error: unknown) => {
          lose(hopError('ERR_SHARD_HOP_FAILED', hop, currentStep(), 'is gone', error))
        })
      }),
    async close() {
      if (lost !== undefined) return
      lost = {
        error: hopError('ERR_SHARD_CHAIN_CLOSED', hop, currentStep(), 'was told that the session is over')
      }
      await channel.send(encodeFrame({ case: 'close', value: { session } }))
      await channel.close()
    },
    abort(error) {
      lose(error)
      channel.abort()
    }
  }
}

/** What is wrong with a result, or nothing. */
function checkResult(result: Result, payload: Uint8Array, asked: Pending, init: HopInit): string | undefined {
  const rows = asked.wanted === 'all' ? asked.rows : asked.wanted === 'last' ? 1 : 0
  if (!equalBytes(result.session, init.session)) return 'answers for another session'
  if (result.step !== asked.step) return `answers step ${result.step}`
  if (result.residual !== 'f32') return 'answers in another residual format'
  if (result.past !== asked.past + asked.rows)
    return `holds ${result.past} rows, not ${asked.past + asked.rows}`
  if (result.numericsClass !== '') return 'computed in another numerics class'
  if (result.rows !== rows || payload.length !== rows * init.hiddenSize * 4)
    return `sent ${result.rows} rows, not ${rows}`
  return undefined
}

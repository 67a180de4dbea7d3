import type { CapabilitySource, Channel, Network, PeerId } from '@kwaai/interface'
import { hexToBytes } from '@noble/hashes/utils.js'
import { shardProtocol } from '../constants.ts'
import { shardError, type ShardErrorCode } from '../errors.ts'
import type { Failure, Notice, Opened, Report, Result } from '../gen/shard_pb.ts'
import { errorOf } from './failure.ts'
import { createLink } from './link.ts'
import { openArguments, openCommand } from './open-arguments.ts'
import { decodeFrame, encodeFrame } from './messages.ts'
import { equalBytes } from './rows.ts'
import type { LoggedStep, ResumedStep } from './step-log.ts'

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
  authorization: Uint8Array | CapabilitySource
  traceparent: string
  /** Who hands rows to it. Default: the caller. */
  before?: PlannedHop
  /** Its results will go to another server. Default false. */
  forward?: boolean
}

/** What a hop did so far. */
export interface HopStats extends PlannedHop {
  steps: number
  rows: number
  /** Milliseconds the server computed, as it says. */
  computeMs: number
  /** Milliseconds steps waited at the server, as it says. */
  queueMs: number
  /** Milliseconds between a step's sending and its result; servers that push share the time between them. */
  roundTripMs: number
}

/** Who sends rows to a hop and who gets its results; the caller where it is not set. */
export interface Neighbours {
  before: PlannedHop | undefined
  after: HopLink | undefined
  /** The highest step whose result the caller has. */
  answered: number
  /** Without `after`: the highest step whose rows the caller has; those of all later ones come again, whole. */
  last?: number
}
/** What a link tells its owner. After `lost` it says nothing more. */
export interface LinkEvents {
  result(link: HopLink, result: Result, payload: Uint8Array): void
  /** The server refuses a step, or tells what became of its neighbours (step 0). */
  refused(link: HopLink, failure: Failure, error: Error): void
  notice(link: HopLink, notice: Notice): void
  /** The session cannot go on, whatever the reason. */
  lost(link: HopLink, error: unknown): void
}

/** An open session at one server. */
export interface HopLink {
  readonly hop: Required<PlannedHop>
  readonly session: Uint8Array
  readonly opened: Opened
  /** Its results are kept and can be handed to another server. */
  readonly forward: boolean
  /** Who hands rows to it, and who gets its results, as it was last told; the caller where it is not set. */
  readonly before: PlannedHop | undefined
  readonly after: HopLink | undefined
  readonly stats: HopStats
  /** Why it cannot go on, once it cannot. */
  readonly lost: { error: unknown } | undefined
  /** Aborts with the reason when it cannot go on. */
  readonly ended: AbortSignal
  /** The last step sent from here, 0 for none. */
  readonly sent: number
  /** Steps sent from here whose answer is still to come. */
  readonly pending: number
  /** The oldest route whose answer is still to come, 0 for none. */
  readonly routing: number
  /** Sends a step. */
  send(step: ResumedStep, wanted: LoggedStep['wanted'], budgetMs: number): void
  /** Counts a step and all before it as answered. */
  settle(step: number): void
  /** Waits until fewer than so many steps are without an answer. */
  room(steps: number, signal: AbortSignal): Promise<void>
  /** Sets the neighbours. @throws what the server refuses with, or the signal's reason. */
  route(neighbours: Neighbours, signal: AbortSignal): Promise<void>
  /** Asks what became of the session. */
  probe(signal: AbortSignal): Promise<Report>
  /** Gives the session up: `lost` tells why. */
  fail(error: unknown): void
  /** Ends the session in good order. */
  close(): Promise<void>
  /** Ends it at once and in silence; the server drops what waits. */
  abort(error: unknown): void
}

/** "12D3Koo… (blocks 10 to 19)": how errors name a hop. */
export function nameOf(hop: PlannedHop): string {
  return `${hop.peer} (blocks ${hop.from} to ${hop.to - 1})`
}

/** How frames name a hop. */
export function placeOf({ peer, from, to }: PlannedHop): { peer: string; from: number; to: number } {
  return { peer, from, to }
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
 * @throws A KwaaiError `ERR_SHARD_HOP_FAILED` when the server cannot be reached or goes away, or the code with
 * which it refuses.
 */
export async function openHop(
  init: HopInit,
  components: { network: Network },
  signal: AbortSignal,
  events: LinkEvents & { currentStep(link: HopLink): number }
): Promise<HopLink> {
  const { hop, maxFrameBytes } = init
  let channel: Channel | undefined
  try {
    channel = await components.network.open(hop.peer, shardProtocol, { signal, maxFrameBytes })
    const opened = await greet(channel, init, signal)
    return createLink(channel, opened, init, events)
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

/** What the server's authorizer is shown. */
async function shown(init: HopInit, signal: AbortSignal): Promise<Uint8Array> {
  const { authorization, hop } = init
  if (authorization instanceof Uint8Array) return authorization
  const request = { peer: hop.peer, command: openCommand, arguments: openArguments({ ...init, ...hop }) }
  return authorization.capability(request, { signal })
}

async function greet(channel: Channel, init: HopInit, signal: AbortSignal): Promise<Opened> {
  const { hop, before } = init
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
        authorization: await shown(init, signal),
        traceparent: init.traceparent,
        deadlineMs: init.openTimeoutMs,
        forward: init.forward ?? false,
        ...(before === undefined ? {} : { before: placeOf(before) })
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

import { deadlineSignal, KwaaiError, type Channel, type PeerId } from '@kwaai/interface'
import { defaultJoinTimeoutMs, maxStepsAhead, replayRows, shardProtocol } from '../constants.ts'
import { shardError } from '../errors.ts'
import type { Hop, Joined } from '../gen/shard_pb.ts'
import { decodeFrame, encodeFrame, type FrameBody } from './messages.ts'
import { equalBytes } from './rows.ts'
import type { ServerState } from './serve-channel.ts'
import type { ResumedStep, StepLog } from './step-log.ts'

/** What one hop did with a step. */
export interface HopStamp {
  from: number
  to: number
  computeUs: number
  queueUs: number
}

/** What travels with a step and is no part of it. */
export interface StepTravel {
  /** When the step is too late, in milliseconds of the monotonic clock. */
  deadlineAt: number
  /** What the hops did with it, this one included. */
  stamps: readonly HopStamp[]
  traceparent: string
}

/** What a link to the next server is made of. */
export interface NextHopInit {
  after: Hop
  /** The session's own results: what the next server gets. */
  log: StepLog
  /** The highest step whose result the caller has. */
  answered: number
  /** Steps the next server may leave unread before it counts as lost. */
  maxUnsent: number
  /** Told once when the next server is gone. */
  onLost: (error: unknown) => void
}

/** The way to the next server, which has confirmed the session. */
export interface NextHop {
  readonly peer: PeerId
  /** Sends what the next server lacks; called once what is said before is said. */
  begin(): void
  /** A step was added to the log. */
  push(step: number, travel: StepTravel): void
  /** Sends a step again that was sent before. */
  repeat(step: ResumedStep, travel: StepTravel): void
  close(): void
}

/**
 * Asks the next server whether it holds the session and expects rows from here. Nothing but that question goes
 * to a peer that has not answered it.
 *
 * @throws A KwaaiError `ERR_SHARD_PUSH_REFUSED` whatever it is that stands in the way; `details.peer`.
 */
export async function joinNext(init: NextHopInit, state: ServerState, signal: AbortSignal): Promise<NextHop> {
  const { network, clock } = state.components
  const { peer, session } = init.after
  const timer = deadlineSignal(
    clock,
    defaultJoinTimeoutMs,
    () => refused(peer, `it did not answer within ${defaultJoinTimeoutMs} ms`),
    signal
  )
  let channel: Channel | undefined
  try {
    const { maxFrameBytes } = state.settings
    channel = await network.open(peer, shardProtocol, { signal: timer.signal, maxFrameBytes })
    await channel.send(encodeFrame({ case: 'join', value: { session } }), { signal: timer.signal })
    const bytes = await channel.receive({ signal: timer.signal })
    if (bytes === undefined) throw refused(peer, 'it closed the channel')
    const { body } = decodeFrame(bytes, state.settings)
    if (body.case === 'failure') throw refused(peer, 'it refuses', { remoteCode: body.value.code })
    if (body.case !== 'joined' || !isPossible(body.value, init)) {
      throw refused(peer, 'it answers with what cannot be')
    }
    return createNextHop(channel, body.value, init, state)
  } catch (error) {
    channel?.abort()
    if (timer.signal.aborted) throw timer.signal.reason
    if (KwaaiError.is(error, 'ERR_SHARD_PUSH_REFUSED')) throw error
    const cause = KwaaiError.is(error) ? { remoteCode: error.code } : {}
    throw refused(peer, 'it is not reached or went away', cause)
  } finally {
    timer.clear()
  }
}

function refused(peer: PeerId, why: string, details: Record<string, unknown> = {}): Error {
  return shardError('ERR_SHARD_PUSH_REFUSED', `Cannot hand rows on to ${peer}: ${why}`, {
    details: { peer, ...details }
  })
}

/**
 * A server that has taken a place in the chain may still get old steps that the next one has already, but
 * nobody has steps that the caller never sent.
 */
function isPossible(joined: Joined, { after, log, answered }: NextHopInit): boolean {
  return (
    equalBytes(joined.session, after.session) && joined.last <= Math.max(log.last, answered) + maxStepsAhead
  )
}

function createNextHop(channel: Channel, joined: Joined, init: NextHopInit, state: ServerState): NextHop {
  const { after, log, answered } = init
  const { clock } = state.components
  const closed = new AbortController()
  // Of the steps in the log that are not sent yet: they wait there and nowhere else.
  const travels = new Map<number, StepTravel>()
  let cursor = joined.last
  let begun = false
  let sending = false

  const lose = (error: unknown): void => {
    if (closed.signal.aborted) return
    end()
    init.onLost(error)
  }
  const end = (): void => {
    closed.abort()
    channel.abort()
    travels.clear()
  }

  const send = (step: ResumedStep, travel: StepTravel | undefined): void => {
    sending = true
    const deadlineAt = travel?.deadlineAt ?? Infinity
    const body = {
      case: 'step' as const,
      value: {
        session: after.session,
        step: step.step,
        previous: step.previous,
        from: after.from,
        to: after.to,
        past: step.past,
        rows: step.rows,
        kernel: step.kernel,
        wanted: step.wanted,
        residual: 'f32',
        deadlineMs: deadlineAt === Infinity ? 0 : Math.max(1, Math.ceil(deadlineAt - clock.monotonic())),
        traceparent: travel?.traceparent ?? '',
        stamps: travel === undefined ? [] : [...travel.stamps]
      }
    }
    channel.send(encodeFrame(body, step.data)).then(() => {
      sending = false
      pump()
    }, lose)
  }

  /** One step is on its way at a time, so that a server that does not read costs no more than the log. */
  const pump = (): void => {
    if (!begun || sending || closed.signal.aborted || log.last <= cursor) return
    const [step] = log.resume({ last: cursor, answered, maxRows: replayRows, maxSteps: 1 })
    if (step === undefined) return
    cursor = step.step
    const travel = travels.get(cursor)
    for (const number of travels.keys()) {
      if (number > cursor) break
      travels.delete(number)
    }
    send(step, travel)
  }

  const listen = async (): Promise<void> => {
    try {
      let body: FrameBody
      // An answer that comes twice says nothing new.
      do {
        const bytes = await channel.receive({ signal: closed.signal })
        if (bytes === undefined) throw refused(after.peer, 'it closed the channel')
        body = decodeFrame(bytes, state.settings).body
      } while (body.case === 'joined' && equalBytes(body.value.session, after.session))
      const details = body.case === 'failure' ? { remoteCode: body.value.code } : {}
      throw refused(after.peer, `it sent a message "${body.case}"`, details)
    } catch (error) {
      lose(error)
    }
  }

  return {
    peer: after.peer,
    begin() {
      begun = true
      void listen()
      pump()
    },
    push(step, travel) {
      // What the next server has already does not go there again.
      if (step <= cursor || closed.signal.aborted) return
      travels.set(step, travel)
      if (travels.size > init.maxUnsent) return lose(refused(after.peer, 'it does not read'))
      pump()
    },
    repeat(step, travel) {
      // Nobody waits for what is answered, and here it may be cut in other steps than at the next server.
      if (step.step <= answered) return
      // One that waits to be sent is not lost; and whoever does not read is not helped by more to read.
      if (begun && !sending && step.step <= cursor && !closed.signal.aborted) send(step, travel)
    },
    close: end
  }
}

import { deadlineSignal, KwaaiError, type Channel, type PeerId } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { Join } from '../gen/shard_pb.ts'
import type { Admission } from './admission.ts'
import type { Executor } from './executor.ts'
import { failureFrame } from './failure.ts'
import { decodeFrame, encodeFrame, type FrameBody, type FrameInit } from './messages.ts'
import { openSession } from './open-session.ts'
import { equalBytes } from './rows.ts'
import { keyText, notExpected } from './server-checks.ts'
import type { ServedSession } from './served-session.ts'
import type { BlockServerSettings } from './server-settings.ts'
import type { BlockServerComponents } from './server.ts'
import { reportViolation } from './violations.ts'

/** Milliseconds the last frame of a channel may take before the channel is cut. */
const farewellMs = 5_000

/** What all channels of one server share. */
export interface ServerState {
  readonly settings: BlockServerSettings
  readonly components: BlockServerComponents
  readonly admission: Admission
  readonly executor: Executor
  /** Open sessions by their key in hex. */
  readonly sessions: Map<string, ServedSession>
  /** True once the server takes no new sessions. */
  draining: boolean
  /** Joins to next servers under way. */
  joining: number
  onStep(rows: number, computeMs: number, peer: PeerId): void
  /** A session ended. */
  onEnd(): void
}

/** One channel being served. */
export interface ServedChannel {
  readonly channel: Channel
  /** Ends it, with the reason that is told to the peer. */
  readonly ended: AbortController
  /** Called once it has a session: until then it counts as a stranger's. */
  readonly onKnown: () => void
}

/** Answers one channel from its first frame to its end; never rejects. */
export async function serveChannel(served: ServedChannel, state: ServerState): Promise<void> {
  const { channel, ended } = served
  const { clock, evidence, logger } = state.components
  const endTasks: (() => Promise<void> | void)[] = []
  const timer = deadlineSignal(
    clock,
    state.settings.openTimeoutMs,
    () => shardError('ERR_SHARD_DEADLINE_EXCEEDED', 'Cannot open a session: its first frame did not come'),
    ended.signal
  )
  let key: Uint8Array = new Uint8Array(0)
  let parting: Promise<void> | undefined
  try {
    const bytes = await channel.receive({ signal: timer.signal })
    const first = bytes === undefined ? undefined : decodeFrame(bytes, state.settings).body
    key = first?.value.session ?? key
    if (first?.case === 'open') {
      const atEnd = (task: () => Promise<void> | void): void => void endTasks.unshift(task)
      const session = await openSession(first.value, served, state, atEnd, timer.signal)
      timer.clear()
      await serveCaller(session, channel, state)
    } else if (first?.case === 'join') {
      timer.clear()
      await serveJoin(first.value, served, state)
    } else if (first !== undefined) {
      throw shardError(
        'ERR_SHARD_SESSION_FOREIGN',
        `Cannot answer a message "${first.case}": this channel has no session`
      )
    }
    await channel.close()
  } catch (error) {
    if (KwaaiError.is(error) && error.code.startsWith('ERR_NETWORK_')) channel.abort()
    else {
      logger?.log('warn', 'shard.session.ended', { peer: channel.peer, error: codeOf(error) })
      reportViolation(channel.peer, error, evidence)
      // Not waited for yet: the session's memory may be another one's already.
      parting = farewell(channel, failureFrame(key, 0, error), state)
    }
  } finally {
    timer.clear()
    ended.abort(shardError('ERR_SHARD_STOPPED', 'The session is closed'))
    for (const task of endTasks) await task()
    await parting
  }
}

/** Answers a caller until it closes the session. */
async function serveCaller(session: ServedSession, channel: Channel, state: ServerState): Promise<void> {
  const { clock } = state.components
  const { signal } = session.ended
  for (;;) {
    const bytes = await channel.receive({ signal })
    if (bytes === undefined) return
    const { body, payload } = decodeFrame(bytes, state.settings)
    session.heardAt = clock.monotonic()
    let sent: Promise<void> | undefined
    if (body.case === 'step') sent = session.take(body.value, payload)
    else {
      if (!equalBytes(body.value.session, session.key)) {
        throw shardError(
          'ERR_SHARD_SESSION_FOREIGN',
          'Cannot answer: the session is not the one of this channel'
        )
      }
      if (body.case === 'close') return
      // What comes twice says nothing new.
      if (body.case === 'open') continue
      if (body.case === 'probe') sent = session.report(body.value.nonce)
      else if (body.case === 'route') sent = session.route(body.value)
      else throw misplaced(body)
    }
    if (sent !== undefined) await sent
  }
}

/** Takes steps from the server before this one, as long as the session expects them on this channel. */
async function serveJoin({ session: key }: Join, served: ServedChannel, state: ServerState): Promise<void> {
  const { channel, ended } = served
  const { signal } = ended
  const session = state.sessions.get(keyText(key))
  if (session === undefined) throw notExpected()
  const { last, past } = session.attach(channel.peer, ended)
  served.onKnown()
  await channel.send(encodeFrame({ case: 'joined', value: { session: key, last, past } }), { signal })
  for (;;) {
    const bytes = await channel.receive({ signal })
    if (bytes === undefined) return
    const { body, payload } = decodeFrame(bytes, state.settings)
    if (body.case !== 'step' && body.case !== 'join') throw misplaced(body)
    if (!equalBytes(body.value.session, key)) {
      throw shardError(
        'ERR_SHARD_SESSION_FOREIGN',
        'Cannot take rows: the session is not the one of this channel'
      )
    }
    // What comes twice says nothing new.
    if (body.case === 'join') continue
    // Not reading slows down the server before; its own history is where the rows wait.
    for (let room = session.room(payload.length); room !== undefined; room = session.room(payload.length)) {
      await orAborted(room, signal)
    }
    const sent = session.take(body.value, payload, channel.peer)
    if (sent !== undefined) await orAborted(sent, signal)
  }
}

function misplaced(body: FrameBody): Error {
  return shardError(
    'ERR_SHARD_INVALID_FRAME',
    `Cannot read the frame: a message "${body.case}" has no place here`
  )
}

function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** The last word on a channel; a peer that does not read it gets a reset. */
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

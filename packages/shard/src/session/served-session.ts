import type { Channel, KvHandle, PeerId } from '@kwaai/interface'
import { maxRoutes } from '../constants.ts'
import { shardError } from '../errors.ts'
import type { Open, Route, Step } from '../gen/shard_pb.ts'
import { failureFrame, withDetails } from './failure.ts'
import { createStepLedger } from './ledger.ts'
import { encodeFrame, type FrameInit } from './messages.ts'
import { createOutlet } from './outlet.ts'
import type { ServerState } from './serve-channel.ts'
import { createServedSteps } from './served-steps.ts'
import { checkRoute, notExpected } from './server-checks.ts'
import { createStepLog } from './step-log.ts'
import { reportPusher, reportViolation } from './violations.ts'

/** What is known of a session from outside. */
export interface SessionFacts {
  readonly key: Uint8Array
  /** Its caller. */
  readonly peer: PeerId
  /** Ends the session, with the reason that is told to the caller. */
  readonly ended: AbortController
  /** When a frame of it last came, or a step was last done, in milliseconds of the monotonic clock. */
  heardAt: number
}

/** One caller's session at this server. */
export interface ServedSession extends SessionFacts {
  /** True while steps wait or run: the session is not idle then. */
  busy(): boolean
  /** The runner has room for it: it is open. */
  begin(handle: KvHandle): Promise<void>
  /**
   * Takes a step from its caller, or from the server before this one; what is wrong with it is told to the
   * caller. What it returns is to be waited for before the next one.
   */
  take(step: Step, payload: Uint8Array, pusher?: PeerId): Promise<void> | undefined
  /** While there is no room for so many bytes of rows: a promise of the next moment to look again. */
  room(bytes: number): Promise<void> | undefined
  /** Sets where rows come from and results go to. What it returns is to be waited for before the next one. */
  route(route: Route): Promise<void> | undefined
  /**
   * Lets the server before this one hand in rows on a channel; the one it had before ends.
   *
   * @returns the last step admitted, and the rows held then.
   * @throws A KwaaiError `ERR_SHARD_PUSH_REFUSED` when it is not the one expected.
   */
  attach(pusher: PeerId, channel: AbortController): { last: number; past: number }
  /** Tells the caller what became of its steps. */
  report(nonce: number): Promise<void>
  /** Tells the caller that the server is going away. */
  notify(deadlineMs: number): void
}

/** Makes a session that is not open yet. */
export function createServedSession(
  open: Open,
  channel: Channel,
  ended: AbortController,
  state: ServerState
): ServedSession {
  const { clock, evidence, runner } = state.components
  const { settings } = state
  const { session: key, maxTokens } = open
  const ledger = createStepLedger({
    maxTokens,
    maxKeptSteps: settings.maxPendingSteps,
    maxKeptBytes: settings.maxKeptBytes
  })
  const log = open.forward
    ? createStepLog({
        maxOpenSteps: settings.maxPendingSteps,
        maxBytes: 4 * runner.shape.hiddenSize * maxTokens
      })
    : undefined
  let isOpen = false
  let before: PeerId | undefined = open.before?.peer
  let pusher: AbortController | undefined
  let lastRoute = 0
  let routes = 0
  let unsent = 0
  let leaving: number | undefined

  /** Waits while the caller does not read; so a flood of bad frames slows the caller down, nobody else. */
  const send = (body: FrameInit, payload?: Uint8Array): Promise<void> =>
    channel.send(encodeFrame(body, payload), { signal: ended.signal })

  /** Sends without holding up the runner; the number of answers in flight counts as steps still pending. */
  const post = (body: FrameInit, payload?: Uint8Array): void => {
    unsent++
    send(body, payload)
      .catch((error: unknown) => ended.abort(error))
      .finally(() => unsent--)
      .catch(() => undefined)
  }

  const setBefore = (peer: PeerId | undefined): void => {
    if (peer === before) return
    before = peer
    pusher?.abort(shardError('ERR_SHARD_PUSH_REFUSED', 'Cannot take rows: the caller named another sender'))
    pusher = undefined
  }

  const outlet = createOutlet({ key, ended, log, send, post }, state)
  const session: ServedSession = {
    key,
    peer: channel.peer,
    ended,
    heardAt: clock.monotonic(),
    busy: () => ledger.pending > 0,
    async begin(handle) {
      isOpen = true
      steps.begin(handle)
      const opened = send({
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
      if (leaving !== undefined) session.notify(leaving)
      await opened
    },
    take(step, payload, sender) {
      session.heardAt = clock.monotonic()
      try {
        if (before !== sender) {
          const who = sender === undefined ? 'another server hands in the rows' : 'they come from the caller'
          throw shardError('ERR_SHARD_PUSH_REFUSED', `Cannot run step ${step.step}: ${who}`)
        }
        return steps.admit(step, payload)
      } catch (error) {
        if (sender === undefined) reportViolation(session.peer, error, evidence)
        else reportPusher(sender, error, evidence)
        const told = sender === undefined ? error : withDetails(error, { sender })
        return send(failureFrame(step.session, step.step, told))
      }
    },
    room: (bytes) => steps.room(bytes),
    route(route) {
      // What comes twice says nothing new.
      if (route.route !== 0 && route.route === lastRoute) return undefined
      try {
        checkRoute(route, lastRoute, log !== undefined, runner)
        if (++routes > maxRoutes) {
          throw shardError('ERR_SHARD_PUSH_REFUSED', `Cannot set the route: ${maxRoutes} were set already`)
        }
      } catch (error) {
        return send(failureFrame(key, 0, error, route.route))
      }
      lastRoute = route.route
      setBefore(route.before?.peer)
      outlet.turn(route, ledger.last)
      return undefined
    },
    attach(peer, joined) {
      if (!isOpen || ended.signal.aborted || before !== peer) throw notExpected()
      pusher?.abort(shardError('ERR_SHARD_PUSH_REFUSED', 'Cannot take rows: a new channel took the place'))
      pusher = joined
      session.heardAt = clock.monotonic()
      return { last: ledger.last, past: ledger.length }
    },
    report: (nonce) => {
      const { last, done, length, pending } = ledger
      return send({ case: 'report', value: { session: key, nonce, last, done, past: length, pending } })
    },
    notify(deadlineMs) {
      leaving = deadlineMs
      if (isOpen) post({ case: 'notice', value: { session: key, draining: true, deadlineMs } })
    }
  }
  const steps = createServedSteps(
    {
      session,
      ledger,
      log,
      outlet,
      unsent: () => unsent,
      fail: (step, error) => post(failureFrame(key, step, error))
    },
    state
  )
  // However it ends, its neighbours are let go at once.
  const leave = (): void => {
    outlet.close()
    pusher?.abort(ended.signal.reason)
  }
  ended.signal.addEventListener('abort', leave, { once: true })
  return session
}

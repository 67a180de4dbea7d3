import type { Channel } from '@kwaai/interface'
import type { Failure, Opened, Report } from '../gen/shard_pb.ts'
import { errorOf } from './failure.ts'
import { hopError, placeOf, type HopInit, type HopLink, type LinkEvents, type PlannedHop } from './hop.ts'
import { decodeFrame, encodeFrame, type FrameBody } from './messages.ts'
import { equalBytes } from './rows.ts'

/** Someone who waits for a frame of a number. */
interface Waiter<T> {
  resolve(value: T): void
  reject(error: unknown): void
}

/** Makes the link of a session that is open, and listens from then on. */
export function createLink(
  channel: Channel,
  opened: Opened,
  init: HopInit,
  events: LinkEvents & { currentStep(link: HopLink): number }
): HopLink {
  const { session } = init
  const hop: Required<PlannedHop> = { ...init.hop, numericsClass: opened.numericsClass }
  const routes = new Map<number, Waiter<void>>()
  const probes = new Map<number, Waiter<Report>>()
  const pending: number[] = []
  const waiting = new Set<() => void>()
  let { before } = init
  let after: HopLink | undefined
  let sent = 0
  let numbers = 0
  let silent = false
  let lost: { error: unknown } | undefined
  const ended = new AbortController()

  const end = (error: unknown): void => {
    lost = { error }
    ended.abort(error)
    channel.abort()
    for (const waiter of [...routes.values(), ...probes.values()]) waiter.reject(error)
    for (const wake of waiting) wake()
  }
  const fail = (error: unknown): void => {
    if (lost !== undefined) return
    end(error)
    if (!silent) events.lost(link, error)
  }
  const wrong = (why: string): void =>
    fail(hopError('ERR_SHARD_INVALID_RESULT', hop, events.currentStep(link), why))
  const gone = (error: unknown): void =>
    fail(hopError('ERR_SHARD_HOP_FAILED', hop, events.currentStep(link), 'is gone', error))

  const refused = (failure: Failure): void => {
    const step = failure.step || events.currentStep(link)
    const error = errorOf(failure, { peer: hop.peer, from: hop.from, to: hop.to, step })
    const waiter = routes.get(failure.route)
    if (waiter !== undefined) waiter.reject(error)
    // A late answer to a route nobody waits for.
    else if (failure.route === 0) events.refused(link, failure, error)
  }

  /** Answers come in order: one to an earlier question that is missing is lost, and this one says no less. */
  const reported = (report: Report): void => {
    if (!probes.has(report.nonce)) return
    for (const [nonce, waiter] of probes) if (nonce <= report.nonce) waiter.resolve(report)
  }

  const hear = (body: FrameBody, payload: Uint8Array): void => {
    const { value } = body
    // A failure may come from before the server could read a key.
    if (!equalBytes(value.session, session) && !(body.case === 'failure' && value.session.length === 0)) {
      return wrong('answers for another session')
    }
    if (body.case === 'result') events.result(link, body.value, payload)
    else if (body.case === 'failure') refused(body.value)
    else if (body.case === 'routed') routes.get(body.value.route)?.resolve()
    else if (body.case === 'report') reported(body.value)
    else if (body.case === 'notice') events.notice(link, body.value)
    // An answer that comes twice says nothing new.
    else if (body.case !== 'opened') wrong(`sent a message "${body.case}"`)
  }

  const listen = async (): Promise<void> => {
    try {
      for (;;) {
        const bytes = await channel.receive()
        if (lost !== undefined) return
        if (bytes === undefined) throw new Error('The server closed the channel')
        const { body, payload } = decodeFrame(bytes, init)
        hear(body, payload)
      }
    } catch (error) {
      gone(error)
    }
  }

  /** Sends a frame and waits for the one that answers its number. */
  const ask = async <T>(
    table: Map<number, Waiter<T>>,
    number: number,
    parts: Uint8Array[],
    signal: AbortSignal
  ): Promise<T> => {
    signal.throwIfAborted()
    if (lost !== undefined) throw lost.error
    let abort = (): void => undefined
    try {
      return await new Promise<T>((resolve, reject) => {
        abort = () => reject(signal.reason)
        signal.addEventListener('abort', abort, { once: true })
        table.set(number, { resolve, reject })
        channel.send(parts).catch(gone)
      })
    } finally {
      signal.removeEventListener('abort', abort)
      table.delete(number)
    }
  }

  const link: HopLink = {
    hop,
    session,
    opened,
    forward: init.forward ?? false,
    get before() {
      return before
    },
    get after() {
      return after
    },
    stats: { ...hop, steps: 0, rows: 0, computeMs: 0, queueMs: 0, roundTripMs: 0 },
    get lost() {
      return lost
    },
    ended: ended.signal,
    get sent() {
      return sent
    },
    get pending() {
      return pending.length
    },
    get routing() {
      return routes.keys().next().value ?? 0
    },
    send(step, wanted, budgetMs) {
      if (lost !== undefined) return
      if (step.step > sent) pending.push(step.step)
      sent = Math.max(sent, step.step)
      const body = {
        case: 'step' as const,
        value: {
          session,
          step: step.step,
          previous: step.previous,
          from: hop.from,
          to: hop.to,
          past: step.past,
          rows: step.rows,
          kernel: step.kernel,
          wanted,
          residual: 'f32',
          deadlineMs: Math.max(1, Math.ceil(budgetMs)),
          traceparent: init.traceparent
        }
      }
      channel.send(encodeFrame(body, step.data)).catch(gone)
    },
    settle(step) {
      while (pending.length > 0 && (pending[0] as number) <= step) pending.shift()
      for (const wake of waiting) wake()
    },
    async room(steps, signal) {
      while (pending.length >= steps && lost === undefined && !signal.aborted) {
        let wake = (): void => undefined
        const woken = new Promise<void>((resolve) => {
          wake = resolve
        })
        waiting.add(wake)
        signal.addEventListener('abort', wake, { once: true })
        await woken
        waiting.delete(wake)
        signal.removeEventListener('abort', wake)
      }
      signal.throwIfAborted()
      if (lost !== undefined) throw lost.error
    },
    route(neighbours, signal) {
      const route = ++numbers
      before = neighbours.before
      after = neighbours.after
      const value = {
        session,
        route,
        answered: neighbours.answered,
        last: neighbours.last ?? neighbours.answered,
        ...(before === undefined ? {} : { before: placeOf(before) }),
        ...(after === undefined ? {} : { after: { ...placeOf(after.hop), session: after.session } })
      }
      return ask(routes, route, encodeFrame({ case: 'route', value }), signal)
    },
    probe(signal) {
      const nonce = ++numbers
      return ask(probes, nonce, encodeFrame({ case: 'probe', value: { session, nonce } }), signal)
    },
    fail,
    async close() {
      if (lost !== undefined) return
      silent = true
      lost = {
        error: hopError(
          'ERR_SHARD_CHAIN_CLOSED',
          hop,
          events.currentStep(link),
          'was told that the session is over'
        )
      }
      await channel.send(encodeFrame({ case: 'close', value: { session } }))
      await channel.close()
    },
    abort(error) {
      silent = true
      if (lost === undefined) end(error)
      else channel.abort()
    }
  }
  void listen()
  return link
}

import type {
  Authorizer,
  BlockRunner,
  CallOptions,
  Channel,
  Clock,
  EvidenceSink,
  Logger,
  Meter,
  Network,
  PeerId,
  Random,
  Startable,
  Tracer
} from '@kwaai/interface'
import { defaultDrainMs, drainIdleMs, shardProtocol } from '../constants.ts'
import { shardError } from '../errors.ts'
import { createAdmission } from './admission.ts'
import { createExecutor } from './executor.ts'
import { measureRunner } from './measure.ts'
import { serveChannel, type ServerState } from './serve-channel.ts'
import type { ServedSession } from './served-session.ts'
import { sessionTokens } from './session-bytes.ts'
import { resolveSettings, type BlockServerInit } from './server-settings.ts'

export type { BlockServerInit } from './server-settings.ts'

/** What a block server needs. */
export interface BlockServerComponents {
  network: Network
  /** Stays the caller's: the server closes its own sessions there and nothing else. */
  runner: BlockRunner
  clock: Clock
  random: Random
  /** Asked whenever a session opens. Default: everybody may. */
  authorizer?: Authorizer
  logger?: Logger
  /** Starts a span for every step, below the caller's. */
  tracer?: Tracer
  /** Told of callers that break the protocol, context `shard/session`. */
  evidence?: EvidenceSink
  /** Told of every row computed, unit `token-blocks`: rows times blocks. */
  meter?: Meter
}

/** What a block server is doing. */
export interface BlockServerStats {
  from: number
  to: number
  sessions: number
  /** Bytes of cache reserved by open sessions. */
  kvBytes: number
  /** Tokens of cache that are still free. */
  freeTokens: number
  /** Rows one session may hold. */
  maxTokens: number
  /** Rows computed since the start. */
  tokensServed: number
  /** Steps done since the start. */
  stepsServed: number
  /** Steps that wait now. */
  queuedSteps: number
  /** Generated rows a second through this range, one session: measured; 0 while unknown. */
  tokensPerSecond: number
  /** True once it takes no new sessions, because it is going away. */
  draining: boolean
}

/** How a server is drained. */
export interface DrainOptions extends CallOptions {
  /** Milliseconds to wait for the sessions. Default 20,000. */
  deadlineMs?: number
}

/** Serves one range of blocks of one model to other peers. */
export interface BlockServer extends Startable {
  readonly modelHash: string
  readonly numericsClass: string
  readonly peerId: PeerId
  /** Blocks of the whole model. */
  readonly blockCount: number
  stats(): BlockServerStats
  /**
   * Goes away in good order: takes no new sessions, tells the callers of open ones to move, and ends those that
   * are idle for a second. Resolves when none is left, or when its time is over; `stop` then ends the rest.
   */
  drain(options?: DrainOptions): Promise<void>
}

/**
 * Makes a server of `/kwaai/shard/1.0.0`.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` when an option is out of range.
 */
export function createBlockServer(init: BlockServerInit, components: BlockServerComponents): BlockServer {
  const { network, runner, clock, random } = components
  const settings = resolveSettings(init, runner)
  const admission = createAdmission(settings, { clock, random })
  const executor = createExecutor(runner, clock, settings)
  const sessions = new Map<string, ServedSession>()
  const totals = { tokens: 0, steps: 0, tokensPerSecond: 0 }
  const channels = new Map<Channel, { ended: AbortController; served: Promise<void> }>()
  // Channels that have no session yet, by peer.
  const strangers = new Map<PeerId, number>()
  let emptied: (() => void) | undefined
  let lifetime: AbortController | undefined
  let unhandle: (() => Promise<void>) | undefined

  const state: ServerState = {
    settings,
    components,
    admission,
    executor,
    sessions,
    draining: false,
    joining: 0,
    onEnd() {
      if (sessions.size === 0) emptied?.()
    },
    onStep(rows, computeMs, peer) {
      totals.tokens += rows
      totals.steps++
      if (rows === 1 && computeMs > 0) {
        const rate = 1000 / computeMs
        totals.tokensPerSecond =
          totals.tokensPerSecond === 0 ? rate : 0.95 * totals.tokensPerSecond + 0.05 * rate
      }
      components.meter?.add({ account: peer, unit: 'token-blocks', amount: rows * (runner.to - runner.from) })
    }
  }

  const onChannel = async (channel: Channel): Promise<void> => {
    const { peer } = channel
    const unknown = strangers.get(peer) ?? 0
    // Of a session there is its caller's channel and that of the server before; and some may be ending.
    if (unknown > settings.maxSessionsPerPeer || channels.size >= 4 * settings.maxSessions) {
      return channel.abort()
    }
    strangers.set(peer, unknown + 1)
    let known = false
    const onKnown = (): void => {
      if (known) return
      known = true
      const left = (strangers.get(peer) ?? 1) - 1
      if (left === 0) strangers.delete(peer)
      else strangers.set(peer, left)
    }
    const ended = new AbortController()
    const served = serveChannel({ channel, ended, onKnown }, state)
    channels.set(channel, { ended, served })
    try {
      await served
    } finally {
      onKnown()
      channels.delete(channel)
    }
  }

  /** Ends the sessions of which nothing was heard since a time. */
  const endIdle = (since: number, reason: () => Error): void => {
    for (const session of sessions.values()) {
      if (!session.busy() && session.heardAt <= since) session.ended.abort(reason())
    }
  }

  /** Forgets sessions nobody speaks to. A new one never expires before the sleep that is running ends. */
  const sweep = async (signal: AbortSignal): Promise<void> => {
    const { idleTimeoutMs } = settings
    while (!signal.aborted) {
      const now = clock.monotonic()
      endIdle(now - idleTimeoutMs, () =>
        shardError(
          'ERR_SHARD_SESSION_EXPIRED',
          `The session is closed: nothing was heard for ${idleTimeoutMs} ms`
        )
      )
      let wait = idleTimeoutMs
      for (const session of sessions.values()) {
        if (session.busy() || session.ended.signal.aborted) continue
        wait = Math.min(wait, session.heardAt + idleTimeoutMs - now)
      }
      // At least a moment: a wait that rounding makes of nothing would never pass.
      await clock.sleep(Math.max(1, wait), { signal }).catch(() => undefined)
    }
  }

  const server: BlockServer = {
    modelHash: settings.modelHash,
    numericsClass: settings.numericsClass,
    peerId: network.peerId,
    blockCount: runner.shape.blockCount,
    async start(options = {}) {
      if (lifetime !== undefined) return
      const own = new AbortController()
      lifetime = own
      state.draining = false
      const checkRunning = (): void => {
        if (own.signal.aborted) throw shardError('ERR_SHARD_STOPPED', 'Cannot start: the server was stopped')
      }
      try {
        if (init.measure !== false) totals.tokensPerSecond = await measureRunner(runner, clock, options)
        checkRunning()
        const remove = await network.handle(
          shardProtocol,
          { onChannel },
          {
            maxFrameBytes: settings.maxFrameBytes,
            // The server before may hand in the rows of all sessions.
            maxStreamsPerPeer: settings.maxSessions + 2 * settings.maxSessionsPerPeer
          }
        )
        if (own.signal.aborted) await remove()
        checkRunning()
        unhandle = remove
      } catch (error) {
        if (lifetime === own) lifetime = undefined
        throw error
      }
      void sweep(own.signal)
    },
    async stop() {
      if (lifetime === undefined) return
      lifetime.abort()
      lifetime = undefined
      await unhandle?.()
      const stopped = shardError('ERR_SHARD_STOPPED', 'The session is closed: the server is stopping')
      const served = [...channels.values()]
      for (const { ended } of served) ended.abort(stopped)
      await Promise.allSettled(served.map((one) => one.served))
    },
    async drain({ deadlineMs = defaultDrainMs, signal } = {}) {
      signal?.throwIfAborted()
      if (lifetime === undefined) return
      state.draining = true
      const begun = clock.monotonic()
      for (const session of sessions.values()) session.notify(deadlineMs)
      const empty = new AbortController()
      emptied = () => empty.abort()
      const awake = AbortSignal.any([
        empty.signal,
        lifetime.signal,
        ...(signal === undefined ? [] : [signal])
      ])
      while (sessions.size > 0 && !awake.aborted) {
        const now = clock.monotonic()
        if (now - begun >= deadlineMs) return
        if (now - begun >= drainIdleMs) {
          endIdle(now - drainIdleMs, () =>
            shardError('ERR_SHARD_DRAINING', 'The session is closed: the server is going away')
          )
        }
        const wait = Math.min(drainIdleMs, begun + deadlineMs - now)
        await clock.sleep(wait, { signal: awake }).catch(() => undefined)
      }
      signal?.throwIfAborted()
    },
    async [Symbol.asyncDispose]() {
      await server.stop()
    },
    stats: () => ({
      from: runner.from,
      to: runner.to,
      sessions: admission.sessions,
      kvBytes: admission.kvBytes,
      freeTokens: sessionTokens(runner, Math.max(0, admission.freeKvBytes)),
      maxTokens: settings.maxTokens,
      tokensServed: totals.tokens,
      stepsServed: totals.steps,
      queuedSteps: executor.waiting,
      tokensPerSecond: totals.tokensPerSecond,
      draining: state.draining
    })
  }
  return server
}

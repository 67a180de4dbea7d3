import type {
  Authorizer,
  BlockRunner,
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
import {
  defaultIdleTimeoutMs,
  defaultMaxFrameBytes,
  defaultOpenTimeoutMs,
  shardProtocol
} from '../constants.ts'
import { shardError } from '../errors.ts'
import { createAdmission } from './admission.ts'
import { createExecutor } from './executor.ts'
import { measureRunner } from './measure.ts'
import { serveChannel, type ServedSession, type ServerState } from './served-session.ts'

/** What a block server serves, and its limits. */
export interface BlockServerInit {
  /** SHA-256 of the model file, 64 lower-case hex digits. */
  modelHash: string
  /** What decides the bits of the runner's results: `BlockBackend.numericsClass()`. */
  numericsClass: string
  /** Rows one session may hold. Default: the model's context, or what one caller's bytes of cache hold. */
  maxTokens?: number
  /** Sessions open at once. Default 64. */
  maxSessions?: number
  /** Sessions of one caller open at once. Default 16. */
  maxSessionsPerPeer?: number
  /** Bytes of cache of all sessions. Default 1 GiB. */
  maxKvBytes?: number
  /** Bytes of cache of one caller's sessions. Default: half of `maxKvBytes`. */
  maxKvBytesPerPeer?: number
  /** Milliseconds without a frame after which a session is forgotten. Default 120,000. */
  idleTimeoutMs?: number
  /** Milliseconds a caller has between its channel and its first frame. Default 10,000. */
  openTimeoutMs?: number
  /** Steps of one session held at once, the running one included. Default 16. */
  maxPendingSteps?: number
  /** Bytes of rows of all sessions that may wait or run. Default 256 MiB. */
  maxPendingBytes?: number
  /** Rows of one step. Default 512. */
  maxStepRows?: number
  /** Bytes of a session's inputs and results kept to answer repeats. Default 4 MiB. */
  maxKeptBytes?: number
  /** Sessions whose steps may share one call of the runner. Default 8; 1 where a backend's bits depend on it. */
  maxBatchSteps?: number
  /**
   * Rows of prompts that share one call of the runner; generated rows wait behind one such call at most. A
   * single step may have more. Default 128.
   */
  maxPrefillRows?: number
  /**
   * Batches into which the sessions that generate are divided, so that one computes here while another is at the
   * next server. Default 2, or 1 where this server runs all blocks; more pay where each server has cores of its own.
   */
  decodeGroups?: number
  /** Milliseconds a batch of generated rows may be held back for the sessions missing in it. Default 10. */
  maxHoldMs?: number
  /** Largest frame. Default 8 MiB and a header. */
  maxFrameBytes?: number
  /** Measure the runner's speed at the start, with three rows. Default true. */
  measure?: boolean
}

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
}

/** Serves one range of blocks of one model to other peers. */
export interface BlockServer extends Startable {
  readonly modelHash: string
  readonly numericsClass: string
  readonly peerId: PeerId
  /** Blocks of the whole model. */
  readonly blockCount: number
  stats(): BlockServerStats
}

/**
 * Makes a server of `/kwaai/shard/1.0.0`.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` when an option is out of range.
 */
export function createBlockServer(init: BlockServerInit, components: BlockServerComponents): BlockServer {
  const { network, runner, clock, random } = components
  const settings = resolve(init, runner)
  const admission = createAdmission(settings, random)
  const executor = createExecutor(runner, clock, settings)
  const sessions = new Map<string, ServedSession>()
  const totals = { tokens: 0, steps: 0, tokensPerSecond: 0 }
  const channels = new Map<Channel, { ended: AbortController; served: Promise<void> }>()
  let lifetime: AbortController | undefined
  let unhandle: (() => Promise<void>) | undefined

  const state: ServerState = {
    settings,
    components,
    admission,
    executor,
    sessions,
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
    // Channels that never open a session time out; until then there may be as many again as sessions.
    if (channels.size >= 2 * settings.maxSessions) return channel.abort()
    const ended = new AbortController()
    const served = serveChannel(channel, ended, state)
    channels.set(channel, { ended, served })
    try {
      await served
    } finally {
      channels.delete(channel)
    }
  }

  /** Forgets sessions nobody speaks to. A new one never expires before the sleep that is running ends. */
  const sweep = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const now = clock.monotonic()
      let wait = settings.idleTimeoutMs
      for (const session of sessions.values()) {
        const left = session.busy() ? Infinity : session.heardAt + settings.idleTimeoutMs - now
        if (left > 0) wait = Math.min(wait, left)
        else {
          session.ended.abort(
            shardError(
              'ERR_SHARD_SESSION_EXPIRED',
              `The session is closed: nothing was heard for ${settings.idleTimeoutMs} ms`
            )
          )
        }
      }
      await clock.sleep(wait, { signal }).catch(() => undefined)
    }
  }

  const server: BlockServer = {
    modelHash: settings.modelHash,
    numericsClass: settings.numericsClass,
    peerId: network.peerId,
    blockCount: runner.shape.blockCount,
    async start(options = {}) {
      if (lifetime !== undefined) return
      lifetime = new AbortController()
      try {
        if (init.measure !== false) totals.tokensPerSecond = await measureRunner(runner, clock, options)
        unhandle = await network.handle(
          shardProtocol,
          { onChannel },
          { maxFrameBytes: settings.maxFrameBytes, maxStreamsPerPeer: settings.maxSessionsPerPeer + 4 }
        )
      } catch (error) {
        lifetime = undefined
        throw error
      }
      void sweep(lifetime.signal)
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
    async [Symbol.asyncDispose]() {
      await server.stop()
    },
    stats: () => ({
      from: runner.from,
      to: runner.to,
      sessions: admission.sessions,
      kvBytes: admission.kvBytes,
      freeTokens: Math.max(0, Math.floor(admission.freeKvBytes / runner.kvBytesPerToken)),
      maxTokens: settings.maxTokens,
      tokensServed: totals.tokens,
      stepsServed: totals.steps,
      queuedSteps: executor.waiting,
      tokensPerSecond: totals.tokensPerSecond
    })
  }
  return server
}

/** The options of a server with their defaults. */
export type BlockServerSettings = Required<Omit<BlockServerInit, 'measure'>>

function resolve(init: BlockServerInit, runner: BlockRunner): BlockServerSettings {
  if (!/^[0-9a-f]{64}$/.test(init.modelHash)) {
    throw shardError(
      'ERR_SHARD_INVALID_INIT',
      'Cannot make the server: modelHash is no SHA-256 in lower-case hex'
    )
  }
  const maxKvBytes = init.maxKvBytes ?? 1_073_741_824
  const maxKvBytesPerPeer = init.maxKvBytesPerPeer ?? Math.floor(maxKvBytes / 2)
  // An advert that promises more would be refused at every opening.
  const most = Math.min(
    runner.shape.contextLength,
    Math.floor(Math.min(maxKvBytes, maxKvBytesPerPeer) / Math.max(1, runner.kvBytesPerToken))
  )
  const settings: BlockServerSettings = {
    modelHash: init.modelHash,
    numericsClass: init.numericsClass,
    maxTokens: Math.min(init.maxTokens ?? most, most),
    maxSessions: init.maxSessions ?? 64,
    maxSessionsPerPeer: init.maxSessionsPerPeer ?? 16,
    maxKvBytes,
    maxKvBytesPerPeer,
    idleTimeoutMs: init.idleTimeoutMs ?? defaultIdleTimeoutMs,
    openTimeoutMs: init.openTimeoutMs ?? defaultOpenTimeoutMs,
    maxPendingSteps: init.maxPendingSteps ?? 16,
    maxPendingBytes: init.maxPendingBytes ?? 268_435_456,
    maxStepRows: init.maxStepRows ?? 512,
    maxKeptBytes: init.maxKeptBytes ?? 4_194_304,
    maxBatchSteps: init.maxBatchSteps ?? 8,
    maxPrefillRows: init.maxPrefillRows ?? 128,
    decodeGroups: init.decodeGroups ?? (runner.from === 0 && runner.to === runner.shape.blockCount ? 1 : 2),
    maxHoldMs: init.maxHoldMs ?? 10,
    maxFrameBytes: init.maxFrameBytes ?? defaultMaxFrameBytes
  }
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(Number.isSafeInteger(value) && value > 0)) {
      throw shardError(
        'ERR_SHARD_INVALID_INIT',
        `Cannot make the server: ${name} is ${value}, not a positive integer`
      )
    }
  }
  return settings
}

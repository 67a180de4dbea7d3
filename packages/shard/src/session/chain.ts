import {
  deadlineSignal,
  type CallOptions,
  type ChainHop,
  type Clock,
  type Logger,
  type Network,
  type Random
} from '@kwaai/interface'
import {
  defaultMaxFrameBytes,
  defaultOpenTimeoutMs,
  defaultRowTimeoutMs,
  defaultStepTimeoutMs,
  sessionKeyBytes
} from '../constants.ts'
import { shardError } from '../errors.ts'
import type { BlockPipeline, PipelineStep } from '../generate/pipeline.ts'
import { checkPlan, checkStep } from './chain-checks.ts'
import { hopError, openHop, type HopLink, type HopStats, type PlannedHop } from './hop.ts'

/** Forward calls that may wait for their turn. */
const maxWaiting = 4_096

/** Milliseconds a polite end may take before the channels are cut. */
const closeTimeoutMs = 2_000

/** Which servers run which blocks of which model. */
export interface ChainPlan {
  /** SHA-256 of the model file, 64 lower-case hex digits. */
  modelHash: string
  /** Blocks of the whole model; the hops cover them all, in order, each once. */
  blockCount: number
  hops: readonly PlannedHop[]
}

/** What a chain needs. */
export interface ChainComponents {
  network: Network
  clock: Clock
  random: Random
  logger?: Logger
}

/** How a chain is opened. */
export interface ChainOptions extends CallOptions {
  /** Rows the session will hold at most. */
  maxTokens: number
  /** Width of the residual, as the client's own copy of the model's ends has it. */
  hiddenSize: number
  /** Milliseconds to open the session at all hops. Default 10,000. */
  openTimeoutMs?: number
  /** Milliseconds a step may take through all hops, before what rows add. Default 30,000. */
  stepTimeoutMs?: number
  /** Milliseconds that each row under way adds to a step's deadline. Default 100. */
  rowTimeoutMs?: number
  /** Steps under way at once. Default 8, at most what the servers take. */
  maxPendingSteps?: number
  /** Shown to the servers' authorizers. */
  authorization?: Uint8Array
  /** W3C trace context of the caller's span. */
  traceparent?: string
  /** Largest frame. Default 8 MiB and a header. */
  maxFrameBytes?: number
  /** Told once when the open chain fails, before the calls under way do. */
  onFailure?: (error: unknown) => void
}

/** A chain of servers as a pipeline. */
export interface ShardChain extends BlockPipeline {
  /** True when not all servers compute in one numerics class: the text may then depend on who computed. */
  readonly mixed: boolean
  /** What each hop did so far. */
  stats(): HopStats[]
}

interface Flight {
  step: number
  rows: number
  deadlineAt: number
  /** The hop it is at. */
  link: HopLink
}

interface Task {
  number: number
  step: PipelineStep
  rows: number
  resolve: (rows: Float32Array) => void
  reject: (error: unknown) => void
}

/**
 * Opens a session at every server of a plan and carries rows from one to the next. Steps keep their order at
 * every hop, and a later step is at an earlier hop while the one before is still on its way. When anything
 * goes wrong (a hop, a deadline, an abort) the whole chain ends, all calls under way reject, and the servers
 * drop what waits.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` for a plan that is no exact cover, `ERR_SHARD_HOP_FAILED` when
 * a server is not reached in time (`details`: `peer`, `from`, `to`, `step`), or the code with which one refuses.
 */
export async function openChain(
  plan: ChainPlan,
  components: ChainComponents,
  options: ChainOptions
): Promise<ShardChain> {
  checkPlan(plan, options)
  const { clock, random } = components
  const openTimeoutMs = options.openTimeoutMs ?? defaultOpenTimeoutMs
  let failure: { error: unknown } | undefined
  let onLost = (error: unknown): void => void (failure ??= { error })

  const waited = new Set(plan.hops)
  const timer = deadlineSignal(
    clock,
    openTimeoutMs,
    () => {
      const [hop] = waited
      return hopError(
        'ERR_SHARD_HOP_FAILED',
        hop as PlannedHop,
        0,
        `did not answer within ${openTimeoutMs} ms`
      )
    },
    options.signal
  )
  // One that fails ends the wait for the others.
  const first = new AbortController()
  const signal = AbortSignal.any([timer.signal, first.signal])
  const opening = plan.hops.map(async (hop) => {
    try {
      const link = await openHop(
        {
          hop,
          modelHash: plan.modelHash,
          session: random.bytes(sessionKeyBytes),
          hiddenSize: options.hiddenSize,
          maxTokens: options.maxTokens,
          maxFrameBytes: options.maxFrameBytes ?? defaultMaxFrameBytes,
          openTimeoutMs,
          authorization: options.authorization ?? new Uint8Array(0),
          traceparent: options.traceparent ?? ''
        },
        components,
        signal,
        (error) => onLost(error)
      )
      waited.delete(hop)
      return link
    } catch (error) {
      first.abort(error)
      throw error
    }
  })
  const settled = await Promise.allSettled(opening)
  timer.clear()
  const links = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  if (signal.aborted || failure !== undefined) {
    const reason: unknown = signal.aborted ? signal.reason : failure?.error
    for (const link of links) link.abort(reason)
    throw reason
  }
  const chain = createChain(links, components, options)
  onLost = chain.fail
  return chain.pipeline
}

function createChain(
  links: readonly HopLink[],
  components: ChainComponents,
  options: ChainOptions
): { pipeline: ShardChain; fail: (error: unknown) => void } {
  const { clock, logger } = components
  const stepTimeoutMs = options.stepTimeoutMs ?? defaultStepTimeoutMs
  const rowTimeoutMs = options.rowTimeoutMs ?? defaultRowTimeoutMs
  const window = Math.min(options.maxPendingSteps ?? 8, ...links.map((link) => link.opened.maxPendingSteps))
  const maxStepRows = Math.min(...links.map((link) => link.opened.maxStepRows))
  const chain: ChainHop[] = links.map(({ hop }) => ({ ...hop }))
  const mixed = new Set(chain.map((hop) => hop.numericsClass)).size > 1
  if (mixed) logger?.log('warn', 'shard.chain.mixed', { classes: chain.map((hop) => hop.numericsClass) })

  const lifetime = new AbortController()
  const flights = new Set<Flight>()
  const waiting: Task[] = []
  let ended: { error: unknown } | undefined
  let last = 0
  let length = 0
  let watching = false

  const end = (error: unknown): void => {
    ended = { error }
    lifetime.abort(error)
    for (const link of links) link.abort(error)
    for (const task of waiting.splice(0)) task.reject(error)
  }
  const fail = (error: unknown): void => {
    if (ended !== undefined) return
    // Before the links: what they tell of their own end is then no news.
    options.onFailure?.(error)
    end(error)
  }

  /** Ends the chain when a step is late. No new deadline is nearer than one whole wait. */
  const watch = async (): Promise<void> => {
    if (watching) return
    watching = true
    while (flights.size > 0 && !lifetime.signal.aborted) {
      const now = clock.monotonic()
      const late = [...flights].reduce((a, b) => (b.deadlineAt < a.deadlineAt ? b : a))
      if (late.deadlineAt <= now) {
        fail(hopError('ERR_SHARD_HOP_FAILED', late.link.hop, late.step, 'did not answer before the deadline'))
      } else {
        const wait = Math.min(late.deadlineAt - now, stepTimeoutMs)
        await clock.sleep(wait, { signal: lifetime.signal }).catch(() => undefined)
      }
    }
    watching = false
  }

  /** Carries one step from hop to hop. */
  const travel = async (task: Task): Promise<void> => {
    const { number, step, rows } = task
    const busy = [...flights].reduce((sum, flight) => sum + flight.rows, rows)
    const deadlineAt = clock.monotonic() + stepTimeoutMs + rowTimeoutMs * busy
    const flight: Flight = { step: number, rows, deadlineAt, link: links[0] as HopLink }
    flights.add(flight)
    void watch()
    try {
      let { hidden } = step
      for (const link of links) {
        flight.link = link
        hidden = await link.run({
          step: number,
          past: step.past,
          rows,
          kernel: step.kernel,
          wanted: link === links.at(-1) ? step.result : 'all',
          hidden,
          budgetMs: deadlineAt - clock.monotonic()
        })
      }
      task.resolve(hidden)
    } catch (error) {
      task.reject(error)
    } finally {
      flights.delete(flight)
      pump()
    }
  }

  /** Lets steps in, in the order of their numbers: what runs before the first await of `travel` is the sending. */
  const pump = (): void => {
    while (flights.size < window && !lifetime.signal.aborted) {
      const task = waiting.shift()
      if (task === undefined) return
      void travel(task)
    }
  }

  const pipeline: ShardChain = {
    chain,
    mixed,
    stats: () => links.map((link) => link.stats()),
    async forward(step, { signal } = {}) {
      if (ended !== undefined) throw ended.error
      signal?.throwIfAborted()
      const rows = checkStep(step, { length, maxStepRows, ...options })
      if (waiting.length >= maxWaiting) {
        throw shardError(
          'ERR_SHARD_OVERLOADED',
          `Cannot run the step: ${maxWaiting} steps wait for the chain already`
        )
      }
      const abort = (): void => fail(closed('a step was aborted', signal?.reason))
      signal?.addEventListener('abort', abort, { once: true })
      try {
        return await new Promise<Float32Array>((resolve, reject) => {
          // Numbered as called: the servers refuse any other order.
          waiting.push({ number: ++last, step, rows, resolve, reject })
          length = step.past + rows
          pump()
        })
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      } finally {
        signal?.removeEventListener('abort', abort)
      }
    },
    async [Symbol.asyncDispose]() {
      if (ended !== undefined) return
      const idle = flights.size === 0 && waiting.length === 0
      ended = { error: closed('it was closed') }
      if (!idle) return end(ended.error)
      lifetime.abort()
      const timer = deadlineSignal(clock, closeTimeoutMs, () => closed('its servers do not read'))
      const cut = (): void => {
        for (const link of links) link.abort(timer.signal.reason)
      }
      timer.signal.addEventListener('abort', cut, { once: true })
      await Promise.allSettled(links.map((link) => link.close()))
      timer.clear()
    }
  }
  return { pipeline, fail }
}

function closed(why: string, cause?: unknown): Error {
  return shardError('ERR_SHARD_CHAIN_CLOSED', `Cannot run the step: the chain is closed, ${why}`, { cause })
}

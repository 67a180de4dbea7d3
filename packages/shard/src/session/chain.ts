import { deadlineSignal, type KwaaiError } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { BlockPipeline, PipelineStep } from '../generate/pipeline.ts'
import { checkPlan, checkStep } from './chain-checks.ts'
import { chainSettings, type ChainComponents, type ChainOptions, type ChainPlan } from './chain-options.ts'
import type { ChainCore, Flight, RecoveryEvent } from './core.ts'
import { createFlow, createRun } from './flow.ts'
import { hopError, type HopLink, type HopStats, type PlannedHop } from './hop.ts'
import { openLinks } from './opening.ts'
import { createRecovery } from './recovery.ts'
import { createRefusals } from './refusals.ts'
import { rowsToBytes } from './rows.ts'
import { createStepLog } from './step-log.ts'
import { createWatch } from './watch.ts'
import { carry, wire } from './wiring.ts'

/** Forward calls that may wait for their turn. */
const maxWaiting = 4_096

/** Milliseconds a polite end may take before the channels are cut. */
const closeTimeoutMs = 2_000

/** Servers that were replaced, of which a chain still tells what they did. */
const maxFormer = 64

/** A chain of servers as a pipeline. */
export interface ShardChain extends BlockPipeline {
  /** True when not all servers compute in one numerics class: the text may then depend on who computed. */
  readonly mixed: boolean
  /** What each hop did so far: those of now, in order, then those that were replaced. */
  stats(): HopStats[]
}

interface Task {
  step: PipelineStep
  rows: number
  resolve: (rows: Float32Array) => void
  reject: (error: unknown) => void
}

/**
 * Opens a session at every server of a plan. Steps keep their order at every hop, and a later step is at an
 * earlier hop while the one before is still on its way. A server that fails is replaced, and the one that takes
 * over runs the rows again that went through before; callers notice a pause. When that fails, a deadline passes
 * or a call is aborted, the whole chain ends, all calls under way reject, and the servers drop what waits.
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
  const chain = createChain(plan, components, options)
  try {
    await chain.open(plan.hops, options.signal)
  } catch (error) {
    chain.end(error)
    throw error
  }
  return chain.pipeline
}

function createChain(
  plan: ChainPlan,
  components: ChainComponents,
  options: ChainOptions
): {
  open(hops: readonly PlannedHop[], signal: AbortSignal | undefined): Promise<void>
  end(error: unknown): void
  pipeline: ShardChain
} {
  const { clock, logger, planner } = components
  const settings = chainSettings(plan, options)
  const lifetime = new AbortController()
  const flights = new Map<number, Flight>()
  const waiting: Task[] = []
  const former: HopStats[] = []
  let untold: RecoveryEvent[] = []
  let ended: { error: unknown } | undefined
  let isOpen = false
  let last = 0
  let length = 0
  let finishedAt = 0
  let window = settings.maxPendingSteps
  let maxStepRows = 0

  const end = (error: unknown): void => {
    ended = { error }
    lifetime.abort(error)
    for (const link of core.links()) link.abort(error)
    for (const flight of flights.values()) flight.reject(error)
    for (const task of waiting.splice(0)) task.reject(error)
    flights.clear()
  }
  const fail = (error: unknown): void => {
    if (ended !== undefined) return
    if (isOpen) options.onFailure?.(error)
    end(error)
  }

  const flow = createFlow(settings, components, {
    budgetMs(step) {
      const flight = flights.get(step) ?? flights.values().next().value
      return flight === undefined ? settings.stepTimeoutMs : flight.deadlineAt - clock.monotonic()
    },
    finished(step, rows) {
      const flight = flights.get(step)
      flights.delete(step)
      flight?.resolve(rows)
      const before = finishedAt
      finishedAt = clock.monotonic()
      if (untold.length > 0) tellAll(finishedAt - Math.max(before, flight?.startedAt ?? before))
      admit()
    },
    fetch(run) {
      const link = run.links.at(-1)
      link
        ?.route(
          { before: link.before, after: undefined, answered: flow.answered, last: run.done },
          lifetime.signal
        )
        .catch((error: unknown) => link.fail(error))
    }
  })

  const tellAll = (stallMs: number): void => {
    const events = untold
    untold = []
    for (const event of events) {
      const { blocks, ...facts } = event
      logger?.log('info', 'shard.chain.recovered', {
        ...facts,
        blocks: `${blocks.from} to ${blocks.to - 1}`,
        stallMs
      })
      options.onRecovery?.({ ...event, stallMs })
    }
  }

  const core: ChainCore = {
    settings,
    clock,
    logger,
    planner,
    flow,
    flights,
    lifetime: lifetime.signal,
    get maxStepRows() {
      return maxStepRows
    },
    get window() {
      return window
    },
    links: () => flow.runs.flatMap((run) => run.links),
    createLog: () => createStepLog({ maxOpenSteps: settings.maxPendingSteps }),
    openLinks: (requests, signal) =>
      openLinks(
        requests,
        settings,
        { ...components, events: { ...events, currentStep: flow.stepAt } },
        signal
      ),
    fail,
    changed(event, old) {
      for (const { stats } of old) if (stats.steps > 0) former.push(stats)
      former.splice(0, former.length - maxFormer)
      untold.push(event)
      if (flights.size === 0) tellAll(0)
    }
  }
  const recovery = createRecovery(core)
  const watch = createWatch(core, recovery)
  const events = {
    result: flow.take,
    refused: createRefusals(core, recovery),
    notice(link: HopLink, { draining }: { draining: boolean }): void {
      if (!draining) return
      recovery.doubt(link, hopError('ERR_SHARD_DRAINING', link.hop, flow.stepAt(link), 'is going away'))
    },
    lost(link: HopLink, error: unknown): void {
      if (flow.runOf(link) !== undefined) recovery.lost(link, error)
    }
  }

  /** Lets steps in, in the order of their numbers. */
  const admit = (): void => {
    while (flights.size < window && ended === undefined) {
      const task = waiting.shift()
      if (task === undefined) return
      const { step, rows, resolve, reject } = task
      let busy = rows
      for (const flight of flights.values()) busy += flight.rows
      const startedAt = clock.monotonic()
      const deadlineAt = startedAt + settings.stepTimeoutMs + settings.rowTimeoutMs * busy
      const number = ++last
      flights.set(number, { step: number, rows, startedAt, deadlineAt, resolve, reject })
      const [first] = flow.runs
      if (first === undefined) return
      flow.feed(first, {
        step: number,
        previous: number - 1,
        past: step.past,
        rows,
        kernel: step.kernel,
        wanted: step.result,
        // Kept for as long as the session goes on; the caller's memory is the caller's.
        data: rowsToBytes(step.hidden).slice()
      })
      watch.start()
    }
  }

  const pipeline: ShardChain = {
    get chain() {
      return core.links().map(({ hop }) => ({ ...hop }))
    },
    get mixed() {
      return new Set(core.links().map(({ hop }) => hop.numericsClass)).size > 1
    },
    ended: lifetime.signal,
    stats: () => [
      ...core.links().map((link) => ({ ...link.stats })),
      ...former.map((stats) => ({ ...stats }))
    ],
    async forward(step, { signal } = {}) {
      if (ended !== undefined) throw ended.error
      signal?.throwIfAborted()
      const { maxTokens, hiddenSize } = settings
      const rows = checkStep(step, { length, maxStepRows, maxTokens, hiddenSize })
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
          waiting.push({ step, rows, resolve, reject })
          length = step.past + rows
          admit()
          recovery.resume()
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
      lifetime.abort(ended.error)
      const links = core.links()
      const timer = deadlineSignal(clock, closeTimeoutMs, () => closed('its servers do not read'))
      const cut = (): void => {
        for (const link of links) link.abort(timer.signal.reason)
      }
      timer.signal.addEventListener('abort', cut, { once: true })
      await Promise.allSettled(links.map((link) => link.close()))
      timer.clear()
    }
  }

  const open = async (hops: readonly PlannedHop[], signal: AbortSignal | undefined): Promise<void> => {
    const push = settings.topology === 'push'
    const requests = hops.map((hop, index) => ({
      hop,
      before: push ? hops[index - 1] : undefined,
      forward: push && index < hops.length - 1
    }))
    const outer = signal === undefined ? lifetime.signal : AbortSignal.any([signal, lifetime.signal])
    const links = await core.openLinks(requests, outer)
    const parts = push ? [links] : links.map((link) => [link])
    flow.runs.push(...parts.map((part) => createRun({ links: part, log: core.createLog() })))
    window = Math.min(window, ...links.map((link) => link.opened.maxPendingSteps))
    maxStepRows = Math.min(...links.map((link) => link.opened.maxStepRows))
    if (pipeline.mixed) {
      logger?.log('warn', 'shard.chain.mixed', { classes: links.map(({ hop }) => hop.numericsClass) })
    }
    // One may have gone before it was part of the chain, when nobody was told.
    for (const { lost } of links) if (lost !== undefined) throw lost.error
    if (push) await join(links, outer)
    isOpen = true
  }

  /** Lets each server hand its results to the next one, or the client carries them. */
  const join = async (links: HopLink[], outer: AbortSignal): Promise<void> => {
    const silent = new Set(links.slice(0, -1))
    const timer = deadlineSignal(
      clock,
      settings.openTimeoutMs,
      () =>
        hopError(
          'ERR_SHARD_HOP_FAILED',
          ([...silent, ...links][0] as HopLink).hop,
          0,
          'did not find the next server in time'
        ),
      outer
    )
    try {
      const refused = await wire(links, 0, timer.signal, (link) => silent.delete(link))
      await carry(refused, core, timer.signal, recovery.cut)
    } finally {
      timer.clear()
    }
  }
  return { open, end, pipeline }
}

function closed(why: string, cause?: unknown): KwaaiError {
  return shardError('ERR_SHARD_CHAIN_CLOSED', `Cannot run the step: the chain is closed, ${why}`, { cause })
}

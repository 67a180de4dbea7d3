import type { BlockRunner, BlockStep, CallOptions, KvHandle, StepFailure } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { LlamaConfig } from '../gguf/llama-config.ts'
import { chunkRows, createScratch, runBlock, type BlockWeights } from './block.ts'
import { findBadRow } from '../bad-row.ts'
import { createKvCache, kvElementBytes, type KvCache, type KvFormat } from './kv-cache.ts'
import { allocate, type MemoryBudget } from './memory.ts'
import type { Queue } from './queue.ts'
import { checkKvRows, checkSteps } from './runner-checks.ts'

/** What a runner is made of. */
export interface RunnerInit {
  config: LlamaConfig
  from: number
  to: number
  blocks: readonly BlockWeights[]
  frequencies: Float64Array
  weightBytes: number
  kvFormat: KvFormat
  budget: MemoryBudget
  queue: Queue
  /** Lets others have the thread now and then. @throws the signal's reason once it has aborted. */
  pause: (signal: AbortSignal | undefined) => Promise<void>
  onClose: () => void
}

/** Runs a range of blocks in this thread. */
export function createRunner(init: RunnerInit): BlockRunner {
  const { config, blocks, budget, queue } = init
  const width = config.kvHeadCount * config.headSize
  const kvBytesPerToken = 2 * blocks.length * width * kvElementBytes[init.kvFormat]
  const scratch = createScratch(config)
  const sessions = new Map<KvHandle, KvCache>()
  let nextHandle = 1
  let closed = false

  const checkOpen = (): void => {
    if (closed) throw shardError('ERR_BACKEND_CLOSED', 'Cannot run the blocks: the runner was closed')
  }
  const inTurn = <T>(task: () => T | Promise<T>, options: CallOptions = {}): Promise<T> =>
    queue.run(async () => {
      checkOpen()
      return task()
    }, options.signal)
  const cacheOf = (session: KvHandle): KvCache => {
    const cache = sessions.get(session)
    if (cache === undefined)
      throw shardError('ERR_BACKEND_UNKNOWN_SESSION', `Cannot use the session: ${session} is not open`)
    return cache
  }
  const forget = (session: KvHandle): void => {
    const cache = sessions.get(session)
    if (cache !== undefined && sessions.delete(session)) budget.give(cache.maxTokens * kvBytesPerToken)
  }

  /** Runs the rows of one step in place. The cache's length stays as it is: its new rows do not count yet. */
  async function runStep(cache: KvCache, past: number, x: Float32Array, signal?: AbortSignal): Promise<void> {
    const chunk = chunkRows * config.hiddenSize
    for (let layer = 0; layer < blocks.length; layer++) {
      for (let at = 0; at < x.length; at += chunk) {
        await init.pause(signal)
        checkOpen()
        const rows = x.subarray(at, at + chunk)
        const position = past + at / config.hiddenSize
        runBlock(
          config,
          blocks[layer] as BlockWeights,
          init.frequencies,
          cache,
          layer,
          position,
          rows,
          scratch
        )
      }
    }
  }

  async function forward(
    steps: readonly BlockStep[],
    signal?: AbortSignal
  ): Promise<(Float32Array | StepFailure)[]> {
    checkSteps(steps, config.hiddenSize, cacheOf)
    // From here on rows past a step's start are gone, whatever happens.
    for (const { session, past } of steps) cacheOf(session).length = past
    const results: (Float32Array | StepFailure)[] = []
    for (const { session, past, hidden } of steps) {
      const bad = findBadRow(hidden, config.hiddenSize)
      if (bad === undefined) await runStep(cacheOf(session), past, hidden, signal)
      results.push(bad ?? findBadRow(hidden, config.hiddenSize) ?? hidden)
    }
    steps.forEach(({ session, past }, i) => {
      const result = results[i]
      if (result instanceof Float32Array) cacheOf(session).length = past + result.length / config.hiddenSize
    })
    return results
  }

  return {
    shape: config,
    from: init.from,
    to: init.to,
    weightBytes: init.weightBytes,
    kvBytesPerToken,
    open: ({ maxTokens }, options) =>
      inTurn(() => {
        if (!Number.isSafeInteger(maxTokens) || maxTokens < 1)
          throw shardError('ERR_BACKEND_INVALID_STEP', `Cannot open a session of ${maxTokens} tokens`)
        budget.take(maxTokens * kvBytesPerToken, `a session of ${maxTokens} tokens`)
        try {
          const make = (): KvCache => createKvCache(init.kvFormat, blocks.length, width, maxTokens)
          const handle: KvHandle = nextHandle++
          sessions.set(handle, allocate(make, `a session of ${maxTokens} tokens`))
          return handle
        } catch (error) {
          budget.give(maxTokens * kvBytesPerToken)
          throw error
        }
      }, options),
    forward(steps, options = {}) {
      // Copied now: the caller may use its memory again, and the results are computed in place.
      const own = steps.map((step) => ({ ...step, hidden: Float32Array.from(step.hidden) }))
      return inTurn(() => forward(own, options.signal), options)
    },
    trim: (session, length) =>
      inTurn(() => {
        const cache = cacheOf(session)
        if (!Number.isSafeInteger(length) || length < 0)
          throw shardError('ERR_BACKEND_INVALID_STEP', `Cannot trim a session to ${length} rows`)
        cache.length = Math.min(cache.length, length)
      }),
    exportKv: (session, from, to, options) =>
      inTurn(() => {
        const cache = cacheOf(session)
        checkKvRows({ from, to }, cache.length, 'export')
        const data = allocate(() => cache.export(from, to), 'the exported rows')
        return { from, to, format: init.kvFormat, data }
      }, options),
    importKv: (session, rows, options) =>
      inTurn(() => {
        const cache = cacheOf(session)
        checkKvRows(rows, cache.maxTokens, 'import')
        if (rows.from > cache.length)
          throw shardError(
            'ERR_BACKEND_INVALID_KV',
            `Cannot import rows from ${rows.from} on: the session has ${cache.length}`
          )
        if (rows.format !== init.kvFormat)
          throw shardError(
            'ERR_BACKEND_INVALID_KV',
            `Cannot import ${rows.format} rows: this cache holds ${init.kvFormat}`
          )
        if (rows.data.length !== (rows.to - rows.from) * kvBytesPerToken || !cache.isFinite(rows.data))
          throw shardError(
            'ERR_BACKEND_INVALID_KV',
            'Cannot import rows: their bytes are not what they should be'
          )
        cache.import(rows.from, rows.to, rows.data)
        cache.length = rows.to
      }, options),
    close: (session) => inTurn(() => forget(session)),
    async [Symbol.asyncDispose]() {
      if (closed) return
      closed = true
      await queue.idle()
      for (const session of sessions.keys()) forget(session)
      init.onClose()
    }
  }
}

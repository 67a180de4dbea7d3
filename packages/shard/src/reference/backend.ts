import type { BlockBackend, CallOptions, Clock, ByteSource } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { shardError } from '../errors.ts'
import type { GgufFile } from '../gguf/file.ts'
import { llamaConfig, type LlamaConfig } from '../gguf/llama-config.ts'
import { blockTensors, headTensors, ropeFactors, type TensorSpec } from '../gguf/llama-tensors.ts'
import { readGguf } from '../gguf/reader.ts'
import { createHead } from './head.ts'
import type { KvFormat } from './kv-cache.ts'
import { createMemoryBudget } from './memory.ts'
import { createQueue } from './queue.ts'
import { createRunner } from './runner.ts'
import { createTensorReader, readBlock, readFrequencies, weightBytes } from './weights.ts'
import type { BlockWeights } from './block.ts'

/** Options of {@link createReferenceBackend}. */
export interface ReferenceBackendInit {
  /** Element type of the key and value cache. Default `f32`. */
  kvFormat?: KvFormat
  /** Bytes that weights and sessions may take together. Default 4 GiB. */
  maxMemoryBytes?: number
  /** Calls that may wait for one runner. Default 256. */
  maxWaitingCalls?: number
  /** How long a computation keeps the thread before others have it, in milliseconds. Default 20. */
  sliceMs?: number
}

/** What a reference backend works with. */
export interface ReferenceBackendComponents {
  /** Default: the system's. */
  clock?: Clock
}

/**
 * Runs Llama models in plain TypeScript, in this thread. Weights stay quantised in memory and are turned into
 * 32-bit floats as they are used. Rows give equal bits however they are grouped, wherever the model is cut, on
 * every engine and processor; both row kernels are the same arithmetic.
 */
export function createReferenceBackend(
  init: ReferenceBackendInit = {},
  components: ReferenceBackendComponents = {}
): BlockBackend {
  const { kvFormat = 'f32', maxMemoryBytes = 2 ** 32, maxWaitingCalls = 256, sliceMs = 20 } = init
  const budget = createMemoryBudget(maxMemoryBytes)
  const pause = createPause(components.clock ?? systemClock, sliceMs)
  const open = new Set<AsyncDisposable>()
  let closed = false

  async function readHeader(source: ByteSource, options: CallOptions): Promise<[GgufFile, LlamaConfig]> {
    if (closed) throw shardError('ERR_BACKEND_CLOSED', 'Cannot load the model: the backend was closed')
    const file = await readGguf(source, { ...options, skipArrays: () => true })
    return [file, llamaConfig(file)]
  }

  /** Loads under the budget; what was taken is given back when loading fails or when the runner is closed. */
  async function load<T extends AsyncDisposable>(
    bytes: number,
    make: (onClose: () => void) => Promise<T>
  ): Promise<T> {
    budget.take(bytes, 'the weights')
    let runner: T | undefined
    const onClose = (): void => {
      budget.give(bytes)
      if (runner !== undefined) open.delete(runner)
    }
    try {
      runner = await make(onClose)
    } catch (error) {
      budget.give(bytes)
      throw error
    }
    open.add(runner)
    if (closed) {
      await runner[Symbol.asyncDispose]()
      throw shardError('ERR_BACKEND_CLOSED', 'Cannot load the model: the backend was closed')
    }
    return runner
  }

  return {
    specification: 'kwaai.block-backend/1',
    name: 'reference',
    supports: { exactReplay: 'any', residuals: ['f32'] },
    async loadBlocks(model, { from, to }, options = {}) {
      const [file, config] = await readHeader(model, options)
      const whole = Number.isSafeInteger(from) && Number.isSafeInteger(to)
      if (!whole || from < 0 || to <= from || to > config.blockCount)
        throw shardError(
          'ERR_BACKEND_INVALID_RANGE',
          `Cannot load blocks ${from} to ${to}: the model has ${config.blockCount}`
        )
      const specs: TensorSpec[] = []
      for (let i = from; i < to; i++) specs.push(...Object.values(blockTensors(config, i)))
      const factors = ropeFactors(config)
      if (factors !== undefined) specs.push(factors)
      const bytes = weightBytes(file, specs)
      return load(bytes, async (onClose) => {
        const reader = createTensorReader(file, model, options)
        const blocks: BlockWeights[] = []
        for (let i = from; i < to; i++) blocks.push(await readBlock(config, i, reader))
        const frequencies = await readFrequencies(config, reader)
        const queue = createQueue(maxWaitingCalls)
        const parts = { config, from, to, blocks, frequencies, weightBytes: bytes }
        return createRunner({ ...parts, kvFormat, budget, queue, pause, onClose })
      })
    },
    async loadHead(model, options = {}) {
      const [file, config] = await readHeader(model, options)
      const specs = headTensors(config)
      const { tokenEmbedding, outputNorm } = specs
      const bytes = weightBytes(file, config.tiedHead ? [tokenEmbedding, outputNorm] : Object.values(specs))
      return load(bytes, async (onClose) => {
        const reader = createTensorReader(file, model, options)
        const embedding = await reader.matrix(tokenEmbedding)
        const weights = {
          tokenEmbedding: embedding,
          outputNorm: await reader.vector(outputNorm),
          output: config.tiedHead ? embedding : await reader.matrix(specs.output)
        }
        return createHead(config, weights, onClose)
      })
    },
    // No engine and no processor: see math.ts.
    numericsClass: async () => `reference/1;kv=${kvFormat}`,
    async [Symbol.asyncDispose]() {
      closed = true
      for (const runner of open) await runner[Symbol.asyncDispose]()
    }
  }
}

/** Waits for a turn of the event loop when the last one is more than `sliceMs` ago. */
function createPause(clock: Clock, sliceMs: number): (signal: AbortSignal | undefined) => Promise<void> {
  let last = clock.monotonic()
  return async (signal) => {
    if (clock.monotonic() - last >= sliceMs) {
      await clock.sleep(0, signal === undefined ? {} : { signal })
      last = clock.monotonic()
    }
    signal?.throwIfAborted()
  }
}

import type { BlockBackend, Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { shardError } from '../errors.ts'
import { llamaConfig, readGguf } from '../gguf/index.ts'
import { createBlockRunner } from './block-runner.ts'
import { defaultMaxKvBytes, defaultMaxWaitingCalls, defaultStartTimeoutMs } from './constants.ts'
import { createHeadRunner } from './head-runner.ts'
import { createLoader } from './loader.ts'
import type { KvFormat } from './messages.ts'
import { blockParts, headParts } from './parts.ts'
import { createSupervisor } from './supervisor.ts'

/** Options of {@link createGgmlBackend}. */
export interface GgmlBackendInit {
  /** Threads that compute. The results are the same for any number. Default 1. */
  threads?: number
  /** Element type of the KV cache: `f16` as llama.cpp has it, `f32` to compare with other backends. Default `f16`. */
  kvFormat?: KvFormat
  /** Most bytes of all KV caches together. Default 4 GiB. */
  maxKvBytes?: number
  /** Most calls that wait; the next one is refused. Default 256. */
  maxWaitingCalls?: number
  /** A folder with ggml's libraries, instead of the installed package's. */
  libraryDir?: string
  /** The library of this instruction set, such as `haswell`, instead of the best one the processor can run. */
  variant?: string
  /** How long the child process may take to load and test itself, in milliseconds. Default 30 000. */
  startTimeoutMs?: number
}

/** Components of {@link createGgmlBackend}. */
export interface GgmlBackendComponents {
  /** Default: the system's. */
  clock?: Clock
}

/**
 * A backend on llama.cpp's own kernels: ggml by FFI, in a child process. One process serves all runners of a
 * backend, so that a crash in native code takes what these were about and nothing else: calls under way reject with
 * `ERR_BACKEND_CRASHED` and sessions are gone (`ERR_BACKEND_UNKNOWN_SESSION`). The next call of a runner starts another
 * process and loads the runner's part of the model again, from the same source, which therefore has to stay open;
 * five times within ten minutes, then calls reject with `ERR_BACKEND_CRASHED`.
 *
 * The process starts with the first call. Where it cannot, or fails its self-test, that call rejects with
 * `ERR_BACKEND_UNAVAILABLE`.
 */
export function createGgmlBackend(
  init: GgmlBackendInit = {},
  components: GgmlBackendComponents = {}
): BlockBackend {
  const { threads = 1, kvFormat = 'f16', maxKvBytes = defaultMaxKvBytes } = init
  const { maxWaitingCalls = defaultMaxWaitingCalls, startTimeoutMs = defaultStartTimeoutMs } = init
  const { clock = systemClock } = components
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > 512)
    throw new RangeError(`threads is ${threads}, not a whole number from 1 to 512`)
  const { libraryDir: dir, variant } = init
  const start = { dir, threads, kvFormat, maxKvBytes: Math.min(maxKvBytes, 2 ** 44), variant }
  const supervisor = createSupervisor({ start, maxWaitingCalls, startTimeoutMs }, { clock })
  const loader = createLoader(supervisor)

  return {
    specification: 'kwaai.block-backend/1',
    name: 'ggml',
    supports: { exactReplay: 'any', residuals: ['f32'] },

    async loadBlocks(model, range, options = {}) {
      const file = await readGguf(model, { ...options, skipArrays: () => true })
      const config = llamaConfig(file)
      const { from, to } = range
      const whole = Number.isSafeInteger(from) && Number.isSafeInteger(to)
      if (!whole || from < 0 || to <= from || to > config.blockCount)
        throw shardError(
          'ERR_BACKEND_INVALID_RANGE',
          `Cannot load blocks ${from} to ${to}: the model has ${config.blockCount}`,
          { details: { from, to, blockCount: config.blockCount } }
        )
      const parts = blockParts(file, config, range)
      const part = await loader.load(model, { part: 'blocks', config }, parts, options)
      return createBlockRunner(part, { config, from, to, kvFormat })
    },

    async loadHead(model, options = {}) {
      const file = await readGguf(model, { ...options, skipArrays: () => true })
      const config = llamaConfig(file)
      const parts = headParts(file, config)
      const part = await loader.load(model, { part: 'head', config }, parts, options)
      return createHeadRunner(part, { config, maxWaitingCalls }, { clock })
    },

    async numericsClass() {
      const { facts } = await supervisor.ready()
      const { version, commit, variant, bufferTypes } = facts
      return `ggml/${version}-${commit};cpu=${variant};buffers=${bufferTypes.join('+')};kv=${kvFormat}`
    },

    [Symbol.asyncDispose]: () => supervisor.end()
  }
}

import {
  type BlockBackend,
  type ByteSource,
  type CallOptions,
  type Clock,
  deadlineSignal
} from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { shardError } from '../errors.ts'
import { llamaConfig, readGguf } from '../gguf/index.ts'
import { createBlockRunner } from './block-runner.ts'
import { defaultMaxKvBytes, defaultMaxWaitingCalls, defaultStartTimeoutMs, pieceBytes } from './constants.ts'
import { createHeadRunner } from './head-runner.ts'
import { findLibraries, unavailable } from './library.ts'
import type { Calls, KvFormat, StartReply } from './messages.ts'
import { blockParts, headParts, type PartTensor } from './parts.ts'
import { startGgmlProcess, type GgmlProcess } from './process.ts'

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

interface Started {
  process: GgmlProcess
  facts: StartReply
}

interface Loaded {
  process: GgmlProcess
  runner: number
  facts: Calls['finish'][1]
}

/**
 * A backend on llama.cpp's own kernels: ggml by FFI, in a child process. One process serves all runners of a
 * backend, so that a crash in native code takes these and nothing else; its runners then reject with
 * `ERR_BACKEND_CRASHED`, and the next load starts a new process.
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
  let started: Promise<Started> | undefined
  let current: GgmlProcess | undefined
  let closed = false
  // Loads go one after another, which bounds what is in memory on the way.
  let loaded: Promise<void> = Promise.resolve()

  async function start(): Promise<Started> {
    const dir = init.libraryDir ?? (await findLibraries())
    if (closed) throw closedError()
    const process = startProcess(maxWaitingCalls)
    current = process
    const late = (): Error => new Error(`it was not ready after ${startTimeoutMs} ms`)
    const deadline = deadlineSignal(clock, startTimeoutMs, late)
    try {
      const request = {
        dir,
        threads,
        kvFormat,
        maxKvBytes: Math.min(maxKvBytes, 2 ** 44),
        variant: init.variant
      }
      const { reply } = await process.call('start', request, { signal: deadline.signal })
      return { process, facts: reply }
    } catch (error) {
      await process.end()
      if (KwaaiError.is(error, 'ERR_BACKEND_CLOSED')) throw error
      throw unavailable(error instanceof Error ? error.message : String(error), error)
    } finally {
      deadline.clear()
    }
  }

  async function ready(options: CallOptions): Promise<Started> {
    options.signal?.throwIfAborted()
    if (closed) throw closedError()
    if (current?.alive === false) started = undefined
    started ??= start()
    const attempt = started
    attempt.catch(() => {
      // A failed start may be tried again: somebody may have installed what was missing.
      if (started === attempt) started = undefined
    })
    const result = await abortable(attempt, options.signal)
    if (closed) throw closedError()
    return result
  }

  /** Brings a part of a model into the process, in pieces, so that no more than a few are in memory here. */
  function load(
    model: ByteSource,
    request: Omit<Calls['load'][0], 'specs'>,
    parts: readonly PartTensor[],
    options: CallOptions
  ): Promise<Loaded> {
    const before = loaded
    const work = abortable(before, options.signal).then(() => loadNow(model, request, parts, options))
    loaded = Promise.allSettled([before, work]).then(() => undefined)
    return work
  }

  async function loadNow(
    model: ByteSource,
    request: Omit<Calls['load'][0], 'specs'>,
    parts: readonly PartTensor[],
    options: CallOptions
  ): Promise<Loaded> {
    const { process } = await ready(options)
    const specs = parts.map(({ spec }) => spec)
    // Not to be cancelled on the way: what nobody knows of would stay loaded.
    const { runner } = (await process.call('load', { ...request, specs })).reply
    try {
      let before: Promise<unknown> = Promise.resolve()
      for (const [tensor, { tensor: place }] of parts.entries())
        for (let offset = 0; offset < place.byteLength; offset += pieceBytes) {
          const length = Math.min(pieceBytes, place.byteLength - offset)
          const bytes = await model.read(place.offset + offset, length, options)
          await before
          before = process.call('write', { runner, tensor, offset }, { ...options, data: [bytes] })
          // It is awaited in the next turn; a failure until then is no unhandled one.
          before.catch(() => undefined)
        }
      await before
      const { reply } = await process.call('finish', { runner }, options)
      return { process, runner, facts: reply }
    } catch (error) {
      await process.call('unload', { runner }).catch(() => undefined)
      throw error
    }
  }

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
      const { process, runner, facts } = await load(model, { part: 'blocks', config }, parts, options)
      const { weightBytes } = facts
      return createBlockRunner(process, runner, { config, from, to, weightBytes, kvFormat })
    },

    async loadHead(model, options = {}) {
      const file = await readGguf(model, { ...options, skipArrays: () => true })
      const config = llamaConfig(file)
      const parts = headParts(file, config)
      const { process, runner, facts } = await load(model, { part: 'head', config }, parts, options)
      const { maxLogitsRows } = facts
      return createHeadRunner(process, runner, { config, maxLogitsRows, maxWaitingCalls })
    },

    async numericsClass() {
      const { facts } = await ready({})
      const { version, commit, variant, bufferTypes } = facts
      return `ggml/${version}-${commit};cpu=${variant};buffers=${bufferTypes.join('+')};kv=${kvFormat}`
    },

    async [Symbol.asyncDispose]() {
      closed = true
      await current?.end()
      await started?.catch(() => undefined)
    }
  }
}

function startProcess(maxWaitingCalls: number): GgmlProcess {
  try {
    return startGgmlProcess(maxWaitingCalls)
  } catch (error) {
    throw unavailable(error instanceof Error ? error.message : String(error), error)
  }
}

function closedError(): Error {
  return shardError('ERR_BACKEND_CLOSED', 'The backend was closed')
}

/** Waits for a shared promise, but no longer than one caller wants to. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

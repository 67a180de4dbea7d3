import {
  deadlineSignal,
  KwaaiError,
  type CallOptions,
  type Clock,
  type Embedder,
  type EmbedderDescription,
  type Logger
} from '@kwaai/interface'
import { nodeError } from './errors.ts'

/** What {@link createLazyEmbedder} is told. */
export interface LazyEmbedderInit {
  /** What it says of itself before it is loaded, and has to be true afterwards. */
  description: EmbedderDescription
  /** Milliseconds a request waits for the loading. Default 20,000: less than clients and proxies wait for an answer. */
  waitMs?: number
}

/** What {@link createLazyEmbedder} works with. */
export interface LazyEmbedderComponents {
  /** Fetches and loads it. */
  load(options: Required<CallOptions>): Promise<Embedder & AsyncDisposable>
  clock: Clock
  logger?: Logger
}

/** An embedder that holds memory from its first use until it is disposed of. */
export interface LazyEmbedder extends Embedder, AsyncDisposable {}

const defaultWaitMs = 20_000
const retryAfterMs = 5_000

/**
 * An embedder that is loaded when somebody first asks it. All who ask meanwhile wait for the one loading, which
 * goes on when they leave; one that failed is tried again by the next who asks.
 *
 * @throws (embed) A KwaaiError `ERR_MODEL_UNAVAILABLE` where the loading failed or takes longer than `waitMs`.
 */
export function createLazyEmbedder(init: LazyEmbedderInit, components: LazyEmbedderComponents): LazyEmbedder {
  const { description, waitMs = defaultWaitMs } = init
  const { clock, logger } = components
  const closing = new AbortController()
  let loading: Promise<Embedder & AsyncDisposable> | undefined

  const load = async (): Promise<Embedder & AsyncDisposable> => {
    const embedder = await components.load({ signal: closing.signal })
    const { id, dimensions, maxTokens } = await embedder.describe({ signal: closing.signal })
    if (id === description.id && dimensions === description.dimensions && maxTokens === description.maxTokens)
      return embedder
    await embedder[Symbol.asyncDispose]()
    throw new Error(`The embedder calls itself ${id} of ${dimensions} numbers, not ${description.id}`)
  }
  const unavailable = (why: string, cause?: unknown): Error =>
    nodeError('ERR_MODEL_UNAVAILABLE', `Cannot embed: ${why}`, { cause, details: { retryAfterMs } })

  const loaded = async (signal: AbortSignal | undefined): Promise<Embedder> => {
    if (closing.signal.aborted) throw unavailable('the node is ending')
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      if (!closing.signal.aborted) logger?.log('error', 'node.embedder-failed', { error: String(error) })
      throw unavailable('the embedding model could not be loaded; the log of the node says why', error)
    })
    const late = (): Error => unavailable('the embedding model is being fetched; try again')
    const deadline = deadlineSignal(clock, waitMs, late, signal)
    try {
      return await orAborted(loading, deadline.signal)
    } finally {
      deadline.clear()
    }
  }

  return {
    specification: 'kwaai.embedder/1',
    async describe({ signal } = {}) {
      signal?.throwIfAborted()
      return description
    },
    async embed(request, options = {}) {
      options.signal?.throwIfAborted()
      const embedder = await loaded(options.signal)
      const mine = loading
      try {
        return await embedder.embed(request, options)
      } catch (error) {
        // Its thread is gone for good: the next who asks gets another one.
        if (loading === mine && KwaaiError.is(error, 'ERR_BACKEND_CRASHED')) {
          loading = undefined
          await mine?.then((gone) => gone[Symbol.asyncDispose]()).catch(() => undefined)
        }
        throw error
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the node is ending'))
      const last = loading
      const embedder = await last?.catch(() => undefined)
      await embedder?.[Symbol.asyncDispose]()
    }
  }
}

function orAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

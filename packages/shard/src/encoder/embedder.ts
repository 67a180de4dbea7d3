import {
  KwaaiError,
  type ByteSource,
  type CallOptions,
  type Clock,
  type Embedder,
  type EmbedderDescription,
  type Embeddings
} from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { openEncoderSession } from '#encoder-platform'
import { shardError } from '../errors.ts'
import { abortable } from '../ggml/abortable.ts'
import { createQueue } from '../reference/queue.ts'
import { encoderInput, planBatches } from './batches.ts'
import { bertConfig } from './bert-config.ts'
import { buildBertEncoder } from './bert-graph.ts'
import { checkEmbedderInit, type OnnxEmbedderInit } from './embedder-init.ts'
import { createEmbeddingTokens, tokensOf } from './embedding-tokens.ts'
import type { OpenEncoderSession } from './session.ts'
import { createWordPieceTokenizer, framingTokens } from './wordpiece.ts'

/** What an embedder is made of: the files of a model as a hub has them. */
export interface OnnxEmbedderComponents {
  /** `model.safetensors`. Read while the embedder is made, not kept. */
  weights: ByteSource
  /** `config.json`, parsed. */
  config: unknown
  /** `tokenizer.json`, parsed. */
  tokenizer: unknown
  /** `tokenizer_config.json`, parsed. */
  tokenizerConfig: unknown
  /** Default: the time of this machine. */
  clock?: Clock
  /** What runs the graph. Default: ONNX Runtime, of the package for this platform. */
  openSession?: OpenEncoderSession
}

/** An embedder that holds memory until it is disposed of. */
export interface OnnxEmbedder extends Embedder, AsyncDisposable {
  readonly description: EmbedderDescription
}

/** Milliseconds nobody is asked to wait longer than, whatever was measured. */
const maxRetryAfterMs = 60_000
/** What a token is taken to cost while nothing was measured, in milliseconds. */
const firstTokenMs = 0.5
/** The weight of the latest batch in the mean. */
const newest = 0.25
/** How far a vector's length may be from 1 before the run is not trusted. */
const maxLengthError = 1e-3

/**
 * Loads an encoder such as all-MiniLM-L6-v2 and turns texts into vectors with it.
 *
 * Texts stay in the process. Batches of different requests take turns; a batch that runs is finished, but whoever
 * aborts gets the signal's reason at once.
 *
 * @throws A KwaaiError `ERR_ENCODER_…`, `ERR_SAFETENSORS_…` or `ERR_TOKENIZER_…` for files it cannot run,
 * `ERR_BACKEND_UNAVAILABLE` where ONNX Runtime is not installed, or what the source throws.
 */
export async function createOnnxEmbedder(
  init: OnnxEmbedderInit,
  components: OnnxEmbedderComponents,
  options: CallOptions = {}
): Promise<OnnxEmbedder> {
  const { clock = systemClock, openSession = openEncoderSession, weights } = components
  const config = bertConfig(components.config)
  const settings = checkEmbedderInit(init, config, clock)
  const { maxTokens, maxBatchTokens, maxRequests, format, threads } = settings
  const tokenizer = createWordPieceTokenizer(components)
  if (tokenizer.vocabularySize > config.vocabularySize)
    throw shardError(
      'ERR_TOKENIZER_INVALID',
      `Cannot use the tokenizer: it has ${tokenizer.vocabularySize} tokens, the encoder ${config.vocabularySize}`
    )
  const model = await buildBertEncoder({ config, format, ...options }, weights)
  options.signal?.throwIfAborted()
  const { wasmPaths } = init
  const session = await openSession(model, { threads, ...(wasmPaths === undefined ? {} : { wasmPaths }) })

  const description: EmbedderDescription = {
    id: settings.id,
    created: settings.created,
    ownedBy: settings.ownedBy,
    dimensions: config.hiddenSize,
    maxTokens
  }
  const limits = { maxTokens, framingTokens, vocabularySize: config.vocabularySize, ...settings.limits }
  const embeddingTokens = createEmbeddingTokens(tokenizer, limits, clock)
  const queue = createQueue(maxRequests)
  let requests = 0
  let waitingTokens = 0
  let tokenMs = firstTokenMs
  let closing: Promise<void> | undefined

  const full = (): Error => {
    const retryAfterMs = Math.max(1, Math.min(Math.ceil(waitingTokens * tokenMs), maxRetryAfterMs))
    return shardError('ERR_MODEL_UNAVAILABLE', `Cannot embed: ${requests} requests are under way already`, {
      details: { retryAfterMs }
    })
  }
  const checkOpen = (): void => {
    if (closing !== undefined) throw shardError('ERR_BACKEND_CLOSED', 'Cannot embed: the embedder was closed')
  }

  async function run(
    texts: readonly (readonly number[])[],
    { signal }: CallOptions
  ): Promise<Float32Array[]> {
    const vectors = texts.map((): Float32Array => new Float32Array())
    const { hiddenSize } = config
    for (const batch of planBatches(
      texts.map((text) => text.length),
      maxBatchTokens
    )) {
      const work = async (): Promise<Float32Array> => {
        signal?.throwIfAborted()
        checkOpen()
        const startedAt = clock.monotonic()
        try {
          return await session.run(encoderInput(batch, texts))
        } catch (cause) {
          throw KwaaiError.is(cause) ? cause : failed(String(cause), cause)
        } finally {
          const took = (clock.monotonic() - startedAt) / (batch.rows.length * batch.tokens)
          tokenMs = (1 - newest) * tokenMs + newest * took
        }
      }
      const values = await abortable(queue.run(work, signal), signal)
      if (values.length !== batch.rows.length * hiddenSize)
        throw failed(`the encoder gave ${values.length} values`)
      batch.rows.forEach((row, i) => {
        // A copy: each vector owns its memory.
        vectors[row] = checked(values.slice(i * hiddenSize, (i + 1) * hiddenSize))
      })
    }
    return vectors
  }

  async function embed(
    input: readonly (string | readonly number[])[],
    call: CallOptions
  ): Promise<Embeddings> {
    const texts = await embeddingTokens(input, call)
    checkOpen()
    const tokens = tokensOf(texts)
    waitingTokens += tokens
    try {
      const vectors = await run(texts, call)
      return { vectors, usage: { promptTokens: tokens, completionTokens: 0, cachedTokens: 0 } }
    } finally {
      waitingTokens -= tokens
    }
  }

  return {
    specification: 'kwaai.embedder/1',
    description,
    async describe({ signal } = {}) {
      signal?.throwIfAborted()
      return description
    },
    async embed({ input }, call = {}) {
      call.signal?.throwIfAborted()
      checkOpen()
      if (requests >= maxRequests) throw full()
      requests++
      try {
        return await embed(input, call)
      } finally {
        requests--
      }
    },
    async [Symbol.asyncDispose]() {
      // The batch that runs is finished first; what waits for its turn is refused.
      closing ??= queue.idle().then(() => session.close())
      await closing
    }
  }
}

/** Throws unless a vector is one: values that are finite, of length 1. */
function checked(vector: Float32Array): Float32Array {
  let square = 0
  for (const value of vector) square += value * value
  if (Math.abs(Math.sqrt(square) - 1) <= maxLengthError) return vector
  throw failed(`a vector has the length ${Math.sqrt(square)}, not 1`)
}

function failed(why: string, cause?: unknown): Error {
  return shardError('ERR_BACKEND_FAILED', `Cannot embed: ${why}`, { cause })
}

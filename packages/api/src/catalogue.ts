import {
  deadlineSignal,
  KwaaiError,
  type CallOptions,
  type Clock,
  type Embedder,
  type EmbedderDescription,
  type LanguageModel,
  type Logger,
  type ModelDescription
} from '@kwaai/interface'
import type { ApiRequest } from './api-request.ts'
import { invalid, modelNotFound, RequestRefused, textOf, unavailable } from './refusals.ts'

/** A model and what it says of itself. */
export interface CatalogueEntry {
  model: LanguageModel
  description: ModelDescription
}

/** An embedder and what it says of itself. */
export interface EmbedderEntry {
  embedder: Embedder
  description: EmbedderDescription
}

/** The signal is asked for only where somebody has to be waited for. */
type Asking = Pick<ApiRequest, 'signal'>

/** The models and embedders a request can name. */
export interface Catalogue {
  /** All models that describe themselves in time, in the order given. */
  list(options: Asking): Promise<CatalogueEntry[]>
  /** All embedders that do. */
  embedders(options: Asking): Promise<EmbedderEntry[]>
  /**
   * The model of a name, with what it said of itself before: its name stays, what else it says may have changed.
   * @throws A `RequestRefused` with 404 when no model has it, 503 when one that may have it is silent, 400 when it
   * is an embedder's.
   */
  find(id: string, options: Asking): Promise<CatalogueEntry>
  /** The embedder of a name, or the model, which may make embeddings too. @throws as `find` does. */
  findAny(id: string, options: Asking): Promise<EmbedderEntry | CatalogueEntry>
}

/** What a catalogue is made of. */
export interface CatalogueInit {
  models: readonly LanguageModel[] | (() => readonly LanguageModel[])
  embedders: readonly Embedder[] | (() => readonly Embedder[])
  clock: Clock
  /** How long one may take to describe itself. */
  timeoutMs: number
  retryAfterMs: number
  logger: Logger | undefined
}

/** Asks the models about themselves, anew for each request: what is ready changes. */
export function createCatalogue(init: CatalogueInit): Catalogue {
  const { models, embedders, clock, timeoutMs, logger } = init
  // A model keeps its name: a request that names one whose name is known asks nobody else.
  const described = new WeakMap<LanguageModel, ModelDescription>()
  const findRemembered = (id: string): CatalogueEntry | undefined => {
    for (const model of typeof models === 'function' ? models() : models) {
      const description = described.get(model)
      // Whoever was silent so far may have the name, and comes first.
      if (description === undefined) return undefined
      if (description.id === id) return { model, description }
    }
    return undefined
  }

  const describe = async <Description>(
    one: { describe(options?: CallOptions): Promise<Description> },
    signal: AbortSignal
  ): Promise<Description | undefined> => {
    const late = (): Error =>
      new KwaaiError('ERR_API_MODEL_MISBEHAVED', `The model did not describe itself within ${timeoutMs} ms`)
    const deadline = deadlineSignal(clock, timeoutMs, late, signal)
    try {
      return await orAborted(one.describe({ signal: deadline.signal }), deadline.signal)
    } catch (error) {
      signal.throwIfAborted()
      logger?.log('warn', 'api.model-silent', { error: textOf(error) })
      return undefined
    } finally {
      deadline.clear()
    }
  }

  const allModels = (signal: AbortSignal): Promise<(CatalogueEntry | undefined)[]> =>
    Promise.all(
      (typeof models === 'function' ? models() : models).map(async (model) => {
        const description = await describe(model, signal)
        if (description === undefined) return undefined
        described.set(model, description)
        return { model, description }
      })
    )
  const allEmbedders = (signal: AbortSignal): Promise<(EmbedderEntry | undefined)[]> =>
    Promise.all(
      (typeof embedders === 'function' ? embedders() : embedders).map(async (embedder) => {
        const description = await describe(embedder, signal)
        return description && { embedder, description }
      })
    )

  const notFound = (id: string, someAreSilent: boolean): Error =>
    someAreSilent
      ? new RequestRefused(
          unavailable(`No answer from all models yet: '${id.slice(0, 100)}' may be one`, init.retryAfterMs)
        )
      : modelNotFound(id)

  const find: Catalogue['find'] = async (id, options) => {
    const remembered = findRemembered(id)
    if (remembered !== undefined) return remembered
    const { signal } = options
    const entries = await allModels(signal)
    const found = entries.find((entry) => entry?.description.id === id)
    if (found !== undefined) return found
    const others = await allEmbedders(signal)
    if (others.some((entry) => entry?.description.id === id))
      throw invalid(
        `The model '${id}' makes embeddings and no text; ask it at /v1/embeddings`,
        'model',
        'model_not_supported'
      )
    throw notFound(id, entries.includes(undefined))
  }

  const findAny: Catalogue['findAny'] = async (id, { signal }) => {
    const [texts, vectors] = await Promise.all([allModels(signal), allEmbedders(signal)])
    const entries = [...vectors, ...texts]
    const found = entries.find((entry) => entry?.description.id === id)
    if (found !== undefined) return found
    throw notFound(id, entries.includes(undefined))
  }

  return {
    list: async ({ signal }) => (await allModels(signal)).filter((entry) => entry !== undefined),
    embedders: async ({ signal }) => (await allEmbedders(signal)).filter((entry) => entry !== undefined),
    find,
    findAny
  }
}

/** A model that does not listen to its signal still costs no more than the deadline. */
function orAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

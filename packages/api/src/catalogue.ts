import {
  deadlineSignal,
  KwaaiError,
  type Clock,
  type LanguageModel,
  type Logger,
  type ModelDescription
} from '@kwaai/interface'
import { modelNotFound, RequestRefused, textOf, unavailable } from './refusals.ts'

/** A model and what it says of itself. */
export interface CatalogueEntry {
  model: LanguageModel
  description: ModelDescription
}

/** The models a request can name. */
export interface Catalogue {
  /** All that describe themselves in time, in the order given. */
  list(signal: AbortSignal): Promise<CatalogueEntry[]>
  /** @throws A `RequestRefused` with 404 when no model has this name, 503 when one that may have it is silent. */
  find(id: string, signal: AbortSignal): Promise<CatalogueEntry>
}

/** Asks the models about themselves, anew for each request: what is ready changes. */
export function createCatalogue(
  models: readonly LanguageModel[] | (() => readonly LanguageModel[]),
  clock: Clock,
  timeoutMs: number,
  retryAfterMs: number,
  logger: Logger | undefined
): Catalogue {
  const describe = async (model: LanguageModel, signal: AbortSignal): Promise<CatalogueEntry | undefined> => {
    const late = (): Error =>
      new KwaaiError('ERR_API_MODEL_MISBEHAVED', `The model did not describe itself within ${timeoutMs} ms`)
    const deadline = deadlineSignal(clock, timeoutMs, late, signal)
    try {
      const description = await orAborted(model.describe({ signal: deadline.signal }), deadline.signal)
      return { model, description }
    } catch (error) {
      signal.throwIfAborted()
      logger?.log('warn', 'api.model-silent', { error: textOf(error) })
      return undefined
    } finally {
      deadline.clear()
    }
  }

  const all = (signal: AbortSignal): Promise<(CatalogueEntry | undefined)[]> => {
    const current = typeof models === 'function' ? models() : models
    return Promise.all(current.map((model) => describe(model, signal)))
  }

  const list = async (signal: AbortSignal): Promise<CatalogueEntry[]> =>
    (await all(signal)).filter((entry) => entry !== undefined)

  const find = async (id: string, signal: AbortSignal): Promise<CatalogueEntry> => {
    const entries = await all(signal)
    const found = entries.find((entry) => entry?.description.id === id)
    if (found !== undefined) return found
    if (entries.includes(undefined))
      throw new RequestRefused(
        unavailable(`No answer from all models yet: '${id.slice(0, 100)}' may be one`, retryAfterMs)
      )
    throw modelNotFound(id)
  }

  return { list, find }
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

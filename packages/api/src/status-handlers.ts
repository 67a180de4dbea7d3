import type { Catalogue } from './catalogue.ts'
import type { Handler } from './context.ts'
import { METRICS_CONTENT_TYPE } from './metrics.ts'
import { RequestRefused, unavailable } from './refusals.ts'
import { reply } from './replies.ts'

/** Makes the handler of `GET /health`: the process lives. */
export function createHealthHandler(health: (() => object | Promise<object>) | undefined): Handler {
  return async () => reply({ status: 'ok', ...(await health?.()) })
}

/**
 * Makes the handler of `GET /ready`: a model can serve.
 * @param named whether it says which; it answers whoever asks, and a key may hide models
 */
export function createReadyHandler(catalogue: Catalogue, retryAfterMs: number, named: boolean): Handler {
  return async ({ request }) => {
    const entries = await catalogue.list(request)
    const ready = entries
      .filter(({ description }) => description.ready)
      .map(({ description }) => description.id)
    if (ready.length > 0) return reply({ status: 'ready', ...(named && { models: ready }) })
    throw new RequestRefused(unavailable('No chain can serve a model yet; try again later', retryAfterMs))
  }
}

/** Makes the handler of `GET /metrics`. It names all models, so a key for some of them does not open it. */
export function createMetricsHandler(text: () => string): Handler {
  return async ({ mayUse }) => {
    // No model has this name, so only a key for all of them covers it.
    if (!mayUse(''))
      throw new RequestRefused({
        status: 403,
        code: 'key_not_allowed',
        message: 'The counts are of all models; ask with a key that covers them all'
      })
    const headers = { 'content-type': METRICS_CONTENT_TYPE, 'cache-control': 'no-store' }
    return { status: 200, headers, body: text() }
  }
}

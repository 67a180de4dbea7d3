import type { Catalogue } from './catalogue.ts'
import type { Handler } from './context.ts'
import { METRICS_CONTENT_TYPE } from './metrics.ts'
import { RequestRefused, unavailable } from './refusals.ts'
import { reply } from './replies.ts'

/** Makes the handler of `GET /health`: the process lives. */
export function createHealthHandler(health: (() => object | Promise<object>) | undefined): Handler {
  return async () => reply({ status: 'ok', ...(await health?.()) })
}

/** Makes the handler of `GET /ready`: a model can serve. */
export function createReadyHandler(catalogue: Catalogue, retryAfterMs: number): Handler {
  return async ({ request }) => {
    const entries = await catalogue.list(request.signal)
    const ready = entries
      .filter(({ description }) => description.ready)
      .map(({ description }) => description.id)
    if (ready.length > 0) return reply({ status: 'ready', models: ready })
    throw new RequestRefused(unavailable('No chain can serve a model yet; try again later', retryAfterMs))
  }
}

/** Makes the handler of `GET /metrics`. */
export function createMetricsHandler(text: () => string): Handler {
  return async () =>
    new Response(text(), {
      headers: { 'content-type': METRICS_CONTENT_TYPE, 'cache-control': 'no-store' }
    })
}

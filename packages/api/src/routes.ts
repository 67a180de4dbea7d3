import { Hono } from 'hono'
import type { Handler, RequestContext } from './context.ts'
import { RequestRefused, type Refusal } from './refusals.ts'
import { refuse } from './replies.ts'

/** One address and what answers there. */
export interface Route {
  /** A GET is asked with HEAD too. */
  method: 'GET' | 'POST' | 'DELETE'
  /** In Hono's form: `/v1/models/:id{.+}`. */
  path: string
  handler: Handler
}

/** A request before it is known what it asks for. */
export type Arrival = Omit<RequestContext, 'params'>

/** Finds the handler of a request. */
export type Router = (arrival: Arrival) => Promise<Response>

/**
 * Sends requests where they belong: 404 for an address that is not in the table, 405 with `Allow` for a method
 * that is not. HEAD is answered as GET without a body.
 * @param failed what a handler's error is answered with
 */
export function createRouter(
  routes: readonly Route[],
  failed: (error: unknown, arrival: Arrival) => Response
): Router {
  const app = new Hono<{ Bindings: { arrival: Arrival } }>()
  app.onError((error, c) => failed(error, c.env.arrival))
  app.notFound((c) =>
    refuse({
      status: 404,
      code: 'unknown_url',
      message: `There is nothing at ${c.req.method} ${c.req.path.slice(0, 100)}`
    })
  )
  const allowed = new Map<string, string[]>()
  for (const { method, path, handler } of routes) {
    app.on(method, path, (c) => handler({ ...c.env.arrival, params: c.req.param() }))
    allowed.set(path, [...(allowed.get(path) ?? []), ...(method === 'GET' ? ['GET', 'HEAD'] : [method])])
  }
  for (const [path, methods] of allowed)
    app.all(path, () => {
      throw new RequestRefused(wrongMethod(methods.join(', ')))
    })
  return async (arrival) => app.fetch(arrival.request, { arrival })
}

function wrongMethod(allow: string): Refusal {
  return {
    status: 405,
    code: 'method_not_supported',
    message: `This address answers to ${allow} only`,
    headers: { allow }
  }
}

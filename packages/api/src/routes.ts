import { Hono } from 'hono'
import type { Handler, RequestContext } from './context.ts'
import { RequestRefused, type Refusal } from './refusals.ts'
import type { Reply } from './replies.ts'

/** One address and what answers there. */
export interface Route {
  /** A GET is asked with HEAD too. */
  method: 'GET' | 'POST' | 'DELETE'
  /** In Hono's form: `/v1/models/:id{.+}`. */
  path: string
  handler: Handler
}

/** What becomes known of a request on its way, for the log and the counts. */
export interface RequestFacts {
  /** The address in the table of routes, as OpenAPI writes it. */
  route?: string
  /** The code of the error it was refused with. */
  code?: string
}

/** A request before it is known what it asks for. */
export type Arrival = Omit<RequestContext, 'params'>

interface Bindings {
  arrival: Arrival
  facts: RequestFacts
}

/** Finds the handler of a request. */
export type Router = (arrival: Arrival, facts: RequestFacts, path: string) => Promise<Reply>

/**
 * Sends requests where they belong: 404 for an address that is not in the table, 405 with `Allow` for a method
 * that is not. HEAD is answered as GET without a body.
 * @param failed what a handler's error is answered with
 */
export function createRouter(
  routes: readonly Route[],
  failed: (error: unknown, arrival: Arrival, facts: RequestFacts) => Reply
): Router {
  const app = new Hono<{ Bindings: Bindings }>()
  app.onError((error, c) => asResponse(failed(error, c.env.arrival, c.env.facts)))
  app.notFound((c) => {
    const { method, path } = c.req
    const message = `There is nothing at ${method} ${path.slice(0, 100)}`
    return asResponse(
      failed(new RequestRefused({ status: 404, code: 'unknown_url', message }), c.env.arrival, c.env.facts)
    )
  })
  const allowed = new Map<string, string[]>()
  for (const { method, path, handler } of routes) {
    const route = openApiPath(path)
    app.on(method, path, async (c) => {
      c.env.facts.route = route
      return asResponse(await handler({ ...c.env.arrival, params: c.req.param() }))
    })
    allowed.set(path, [...(allowed.get(path) ?? []), ...(method === 'GET' ? ['GET', 'HEAD'] : [method])])
  }
  for (const [path, methods] of allowed)
    app.all(path, (c) => {
      c.env.facts.route = openApiPath(path)
      throw new RequestRefused(wrongMethod(methods.join(', ')))
    })
  // An address that is a route's letter by letter needs no search.
  const exact = new Map(
    routes.filter(({ path }) => !path.includes(':')).map((route) => [`${route.method} ${route.path}`, route])
  )
  return async (arrival, facts, path) => {
    const route = exact.get(`${arrival.request.method} ${path}`)
    if (route === undefined) return app.fetch(arrival.request, { arrival, facts })
    facts.route = route.path
    try {
      return await route.handler({ ...arrival, params: {} })
    } catch (error) {
      return failed(error, arrival, facts)
    }
  }
}

/** Hono hands on what a handler answers; for HEAD it takes its status and headers, which both kinds have. */
function asResponse(reply: Reply): Response {
  return reply as Response
}

/** `/v1/models/{id}` for `/v1/models/:id{.+}`. */
export function openApiPath(path: string): string {
  return path.replace(/:(\w+)(\{[^/]*\})?/g, '{$1}')
}

function wrongMethod(allow: string): Refusal {
  return {
    status: 405,
    code: 'method_not_supported',
    message: `This address answers to ${allow} only`,
    headers: { allow }
  }
}

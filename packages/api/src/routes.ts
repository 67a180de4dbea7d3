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

interface Bindings {
  context: RequestContext
  facts: RequestFacts
  reply?: Reply
}

/** Finds the handler of a request. Its context has no `params` yet. */
export type Router = (context: RequestContext, facts: RequestFacts) => Promise<Reply>

/**
 * Sends requests where they belong: 404 for an address that is not in the table, 405 with `Allow` for a method
 * that is not. HEAD is answered as GET without a body.
 * @param failed what a handler's error is answered with
 */
export function createRouter(
  routes: readonly Route[],
  failed: (error: unknown, context: RequestContext, facts: RequestFacts) => Reply
): Router {
  const app = new Hono<{ Bindings: Bindings }>()
  // Hono finds the handler; what that answers goes round it.
  const answered = new Response(null)
  app.onError((error, { env }) => {
    env.reply = failed(error, env.context, env.facts)
    return answered
  })
  app.notFound((c) => {
    const { context, facts } = c.env
    const message = `There is nothing at ${context.request.method} ${c.req.path.slice(0, 100)}`
    c.env.reply = failed(new RequestRefused({ status: 404, code: 'unknown_url', message }), context, facts)
    return answered
  })
  const allowed = new Map<string, string[]>()
  for (const { method, path, handler } of routes) {
    const route = openApiPath(path)
    app.on(method, path, async (c) => {
      c.env.facts.route = route
      c.env.reply = await handler({ ...c.env.context, params: c.req.param() })
      return answered
    })
    allowed.set(path, [...(allowed.get(path) ?? []), ...(method === 'GET' ? ['GET', 'HEAD'] : [method])])
  }
  for (const [path, methods] of allowed)
    app.all(path, (c) => {
      c.env.facts.route = openApiPath(path)
      throw new RequestRefused(wrongMethod(methods.join(', ')))
    })
  const search = async (context: RequestContext, facts: RequestFacts): Promise<Reply> => {
    const { method, url } = context.request
    const isHead = method === 'HEAD'
    // Nothing else of a request is looked at there.
    const asked = { method: isHead ? 'GET' : method, url } as Request
    const bindings: Bindings = { context, facts }
    await app.fetch(asked, bindings)
    // A route and an error both leave one.
    const found = bindings.reply ?? failed(new Error('No handler answered'), context, facts)
    return isHead ? { ...found, body: undefined } : found
  }
  // An address that is a route's letter by letter needs no search.
  const exact = new Map<string, Map<string, Route>>()
  for (const route of routes.filter(({ path }) => !path.includes(':')))
    exact.set(route.method, (exact.get(route.method) ?? new Map()).set(route.path, route))
  return async (context, facts) => {
    const { method, path } = context.request
    const route = exact.get(method)?.get(path)
    if (route === undefined) return search(context, facts)
    facts.route = route.path
    return route.handler(context)
  }
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

import { KwaaiError, type Clock, type LanguageModel, type Logger, type Random } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { Hono } from 'hono'
import { createCatalogue } from './catalogue.ts'
import { createChatHandler } from './chat-handler.ts'
import {
  DEFAULT_DESCRIBE_TIMEOUT_MS,
  DEFAULT_KEEP_ALIVE_MS,
  DEFAULT_MAX_BODY_BYTES,
  DEFAULT_MAX_GENERATIONS,
  DEFAULT_RETRY_AFTER_MS,
  DEFAULT_STALL_TIMEOUT_MS,
  MAX_CALLER_LENGTH
} from './constants.ts'
import { clientGone, logFailure, refusalOf, RequestRefused, unavailable } from './refusals.ts'
import { createGuard, type GuardInit } from './guard.ts'
import { requestIdOf } from './ids.ts'
import { refuse, reply } from './replies.ts'
import { modelObject } from './responses.ts'

/** Options of {@link createApi}; every one has a default. */
export interface ApiInit extends GuardInit {
  /** What `/health` answers besides `status`: the node's peer id, its addresses. */
  health?: () => object | Promise<object>
  /** Largest request body in bytes. Default 8 MiB. */
  maxBodyBytes?: number
  /** Generations that run at once; a further one is answered with 429. Default 64. */
  maxGenerations?: number
  /** Silence after which a stream gets a `: ping` comment. Default 10 s. */
  keepAliveMs?: number
  /** How long a reader may take nothing before its generation is given up. Default 120 s. */
  stallTimeoutMs?: number
  /** `Retry-After` where the model names no time. Default 2 s. */
  retryAfterMs?: number
  /** How long a model may take to describe itself. Default 5 s. */
  describeTimeoutMs?: number
  /**
   * Who asks: a name that means one user. What a model keeps of a request serves that caller alone; without a
   * name it keeps nothing. Default: this machine's user, and each page (by `Origin`) for itself; nobody by name
   * where `allowedHosts` lets others in.
   */
  caller?: (request: Request) => string | undefined
}

/** What {@link createApi} works with. */
export interface ApiComponents {
  /** The models served, the default one first; a function is asked anew for each request. */
  models: readonly LanguageModel[] | (() => readonly LanguageModel[])
  /** Default: the machine's clock. */
  clock?: Clock
  /** Makes ids. Default: the machine's randomness. */
  random?: Random
  /** Gets one entry a request and a generation, never a prompt. */
  logger?: Logger
}

/** The OpenAI-compatible API as one function. */
export interface Api {
  /** Answers a request. Never rejects: whatever goes wrong is an HTTP answer with OpenAI's error object. */
  fetch(request: Request): Promise<Response>
}

/**
 * Makes the API. It listens nowhere: hand requests to `fetch` from a test, a service worker, Deno, Bun, or
 * with `serveApi` of `@kwaai/api/node` from an HTTP server.
 * @throws A KwaaiError `ERR_API_INVALID_INIT` when a number is not a positive one.
 */
export function createApi(init: ApiInit, components: ApiComponents): Api {
  const { models, clock = systemClock, random = systemRandom, logger } = components
  const maxBodyBytes = positive(init.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES, 'maxBodyBytes')
  const retryAfterMs = positive(init.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS, 'retryAfterMs')
  const describeTimeoutMs = positive(
    init.describeTimeoutMs ?? DEFAULT_DESCRIBE_TIMEOUT_MS,
    'describeTimeoutMs'
  )
  const guard = createGuard(init)
  const catalogue = createCatalogue(models, clock, describeTimeoutMs, retryAfterMs, logger)
  const chat = createChatHandler({
    catalogue,
    clock,
    random,
    logger,
    maxBodyBytes,
    retryAfterMs,
    caller: init.caller ?? ((init.allowedHosts ?? []).length === 0 ? localCaller : () => undefined),
    maxGenerations: positive(init.maxGenerations ?? DEFAULT_MAX_GENERATIONS, 'maxGenerations'),
    keepAliveMs: positive(init.keepAliveMs ?? DEFAULT_KEEP_ALIVE_MS, 'keepAliveMs'),
    stallTimeoutMs: positive(init.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS, 'stallTimeoutMs')
  })

  const failed = (error: unknown, requestId: string, client: AbortSignal): Response => {
    if (client.aborted) return refuse(clientGone)
    const refusal = refusalOf(error, retryAfterMs)
    if (refusal.status >= 500 && !(error instanceof RequestRefused)) logFailure(logger, requestId, error)
    return refuse(refusal)
  }

  const app = new Hono<{ Bindings: { requestId: string } }>()
  app.onError((error, c) => failed(error, c.env.requestId, c.req.raw.signal))
  app.notFound((c) =>
    refuse({
      status: 404,
      code: 'unknown_url',
      message: `There is nothing at ${c.req.method} ${c.req.path.slice(0, 100)}`
    })
  )

  app.get('/health', async () => reply({ status: 'ok', ...(await init.health?.()) }))
  app.get('/ready', async (c) => {
    const entries = await catalogue.list(c.req.raw.signal)
    const ready = entries
      .filter(({ description }) => description.ready)
      .map(({ description }) => description.id)
    if (ready.length > 0) return reply({ status: 'ready', models: ready })
    return refuse(unavailable('No chain can serve a model yet; try again later', retryAfterMs))
  })
  app.get('/v1/models', async (c) => {
    const entries = await catalogue.list(c.req.raw.signal)
    return reply({ object: 'list', data: entries.map(({ description }) => modelObject(description)) })
  })
  // Names have slashes, which not every client encodes.
  app.get('/v1/models/:id{.+}', async (c) => {
    const { description } = await catalogue.find(c.req.param('id'), c.req.raw.signal)
    return reply(modelObject(description))
  })
  app.post('/v1/chat/completions', (c) => chat(c.req.raw, c.env.requestId))

  for (const path of ['/health', '/ready', '/v1/models', '/v1/models/:id{.+}'])
    app.all(path, () => wrongMethod('GET, HEAD'))
  app.all('/v1/chat/completions', () => wrongMethod('POST'))

  const answer = async (request: Request, requestId: string): Promise<Response> => {
    try {
      guard.check(request)
      if (guard.isPreflight(request)) return new Response(null, { status: 204 })
      return await app.fetch(request, { requestId })
    } catch (error) {
      return failed(error, requestId, request.signal)
    }
  }

  const fetch = async (request: Request): Promise<Response> => {
    const startedAt = clock.monotonic()
    const requestId = requestIdOf(request, random)
    const response = await answer(request, requestId)
    response.headers.set('x-request-id', requestId)
    response.headers.set('x-content-type-options', 'nosniff')
    for (const [name, value] of Object.entries(guard.corsHeaders(request))) response.headers.set(name, value)
    logger?.log('info', 'api.request', {
      requestId,
      method: request.method,
      path: new URL(request.url).pathname.slice(0, 100),
      status: response.status,
      durationMs: clock.monotonic() - startedAt
    })
    return response
  }

  return { fetch }
}

/** Whoever reaches a loopback port is this machine's user, but for the pages open there. */
function localCaller(request: Request): string {
  return (request.headers.get('origin') ?? 'local').slice(0, MAX_CALLER_LENGTH)
}

function wrongMethod(allowed: string): Response {
  return refuse({
    status: 405,
    code: 'method_not_supported',
    message: `This address answers to ${allowed} only`,
    headers: { allow: allowed }
  })
}

function positive(value: number, name: string): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new KwaaiError(
    'ERR_API_INVALID_INIT',
    `Cannot make the API: ${name} is ${value}, it has to be a positive number`
  )
}

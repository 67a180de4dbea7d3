import {
  KwaaiError,
  type Clock,
  type Embedder,
  type KeyValueStore,
  type LanguageModel,
  type Logger,
  type Meter,
  type Random,
  type Signer
} from '@kwaai/interface'
import { createMemoryStore, systemClock, systemRandom } from '@kwaai/interface/memory'
import { createAdmissions, type OutcomeRecorder } from './admission.ts'
import { FetchRequest, type ApiRequest, type CallerFacts } from './api-request.ts'
import { createApiMetrics } from './api-metrics.ts'
import { createCatalogue } from './catalogue.ts'
import { createChatHandler } from './chat-handler.ts'
import { createCompletionHandler } from './completion-handler.ts'
import {
  DEFAULT_DESCRIBE_TIMEOUT_MS,
  DEFAULT_KEEP_ALIVE_MS,
  DEFAULT_MAX_BODY_BYTES,
  DEFAULT_MAX_GENERATIONS,
  DEFAULT_RETRY_AFTER_MS,
  DEFAULT_STALL_TIMEOUT_MS,
  MAX_CALLER_LENGTH
} from './constants.ts'
import type { RequestContext } from './context.ts'
import type { ApiKey, ApiKeys } from './keys.ts'
import { createModelHandler, createModelsHandler } from './models-handlers.ts'
import { clientGone, invalidAddress, logFailure, refusalOf, RequestRefused } from './refusals.ts'
import { createEmbeddingHandler } from './embedding-handler.ts'
import { createExplainHandler } from './explain-handler.ts'
import { createOpenApiHandler } from './openapi/document.ts'
import { createProvenance, noProvenanceHandler, type ProvenanceInit } from './provenance/provenance.ts'
import { createGate } from './gate.ts'
import { createGuard, type GuardInit } from './guard.ts'
import { requestIdOf } from './ids.ts'
import { refuse, rememberAnswer, toResponse, type Reply } from './replies.ts'
import type { HandlerInit } from './respond.ts'
import { createRateLimits } from './rate-limits.ts'
import { createResponseRoutes, type ResponseStoreInit } from './responses-api/routes.ts'
import { createRouter, type RequestFacts, type Route } from './routes.ts'
import { createHealthHandler, createMetricsHandler, createReadyHandler } from './status-handlers.ts'

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
   * name it keeps nothing. Default: the key's id where there are keys; else this machine's user, and each page
   * (by `Origin`) for itself; nobody by name where `allowedHosts` lets others in.
   */
  caller?: (request: CallerFacts) => string | undefined
  /**
   * What a request without keys has to show (`Authorization: Bearer`) to take away what is kept here (DELETE): 20
   * to 200 characters. Default: nobody may. With keys a key does.
   */
  token?: string
  /** How the answers of `/v1/responses` are kept. */
  responses?: ResponseStoreInit
  /** How it is kept who computed each answer; needs a `signer`. */
  provenance?: ProvenanceInit
}

/** What {@link createApi} works with. */
export interface ApiComponents {
  /** The models served, the default one first; a function is asked anew for each request. */
  models: readonly LanguageModel[] | (() => readonly LanguageModel[])
  /** The embedders served; a function is asked anew for each request. Default: none. */
  embedders?: readonly Embedder[] | (() => readonly Embedder[])
  /** Default: the machine's clock. */
  clock?: Clock
  /** Where answers of `/v1/responses` and their provenance are kept for their callers. Default: in memory, until the process ends. */
  store?: KeyValueStore
  /** Makes ids. Default: the machine's randomness. */
  random?: Random
  /** Gets one entry a request and an answer, never a prompt and never a key. */
  logger?: Logger
  /** Who may ask. Default: whoever the guard lets through. */
  keys?: Pick<ApiKeys, 'authenticate'>
  /** Told the tokens of each answer, under the caller's name or `anonymous`; its receipt goes to the client. */
  meter?: Meter
  /** Told of each answer that has ended, before its client is. */
  recorder?: OutcomeRecorder
  /** Signs who computed each answer, for whoever got it. Default: nothing is kept of that. */
  signer?: Signer
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
  const {
    models,
    clock = systemClock,
    random = systemRandom,
    logger,
    keys,
    meter,
    recorder,
    signer
  } = components
  const { store = createMemoryStore() } = components
  const maxBodyBytes = positive(init.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES, 'maxBodyBytes')
  const retryAfterMs = positive(init.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS, 'retryAfterMs')
  const describeTimeoutMs = positive(
    init.describeTimeoutMs ?? DEFAULT_DESCRIBE_TIMEOUT_MS,
    'describeTimeoutMs'
  )
  const guard = createGuard(init)
  const catalogue = createCatalogue({
    models,
    embedders: components.embedders ?? [],
    clock,
    timeoutMs: describeTimeoutMs,
    retryAfterMs,
    logger
  })
  const gate = createGate({ keys, token: init.token })
  const limits = createRateLimits({ retryAfterMs }, { clock })
  const maxGenerations = positive(init.maxGenerations ?? DEFAULT_MAX_GENERATIONS, 'maxGenerations')
  const metrics = createApiMetrics(() => admissions.running())
  const provenance =
    signer === undefined ? undefined : createProvenance(init.provenance ?? {}, { store, clock, signer })
  const admissions = createAdmissions(
    { maxGenerations, retryAfterMs },
    {
      clock,
      logger,
      meter,
      recorders: [recorder, provenance].filter((each) => each !== undefined),
      count: metrics.answer
    }
  )
  const nameOf = init.caller ?? ((init.allowedHosts ?? []).length === 0 ? localCaller : () => undefined)
  const handlers: HandlerInit = {
    catalogue,
    clock,
    random,
    logger,
    maxBodyBytes,
    retryAfterMs,
    keepAliveMs: positive(init.keepAliveMs ?? DEFAULT_KEEP_ALIVE_MS, 'keepAliveMs'),
    stallTimeoutMs: positive(init.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS, 'stallTimeoutMs')
  }

  const routes: readonly Route[] = [
    { method: 'GET', path: '/health', handler: createHealthHandler(init.health) },
    {
      method: 'GET',
      path: '/ready',
      handler: createReadyHandler(catalogue, retryAfterMs, keys === undefined)
    },
    { method: 'GET', path: '/metrics', handler: createMetricsHandler(metrics.text) },
    {
      method: 'GET',
      path: '/openapi.json',
      handler: createOpenApiHandler(() => routes, keys !== undefined)
    },
    { method: 'GET', path: '/v1/models', handler: createModelsHandler(catalogue) },
    // Names have slashes, which not every client encodes.
    { method: 'GET', path: '/v1/models/:id{.+}', handler: createModelHandler(catalogue) },
    { method: 'POST', path: '/v1/chat/completions', handler: createChatHandler(handlers) },
    { method: 'POST', path: '/v1/completions', handler: createCompletionHandler(handlers) },
    { method: 'POST', path: '/v1/embeddings', handler: createEmbeddingHandler(handlers) },
    { method: 'GET', path: '/v1/kwaai/explain', handler: createExplainHandler(catalogue, retryAfterMs) },
    { method: 'GET', path: '/v1/kwaai/provenance/:id', handler: provenance?.handler ?? noProvenanceHandler },
    ...createResponseRoutes(handlers, init.responses ?? {}, store)
  ]

  const failed = (
    error: unknown,
    { request, requestId }: Pick<RequestContext, 'request' | 'requestId'>,
    facts: RequestFacts
  ): Reply => {
    const refusal = request.gone ? clientGone : refusalOf(error, retryAfterMs)
    if (refusal.status >= 500 && !(error instanceof RequestRefused)) logFailure(logger, requestId, error)
    facts.code = refusal.code
    return refuse(refusal)
  }
  const route = createRouter(
    routes.map((entry) =>
      entry.method !== 'DELETE'
        ? entry
        : {
            ...entry,
            handler: async (context) => {
              gate.checkChange(context.request)
              return entry.handler(context)
            }
          }
    ),
    failed
  )

  const contextOf = (
    request: ApiRequest,
    requestId: string,
    startedAt: number,
    key: ApiKey | undefined
  ): RequestContext => {
    const caller = key === undefined ? nameOf(request) : key.id
    return {
      request,
      requestId,
      startedAt,
      caller,
      params: noParams,
      mayUse: (model) => key === undefined || key.models === 'all' || key.models.includes(model),
      admit: () => admissions.admit({ requestId, caller, begin: key && (() => limits.begin(key)) })
    }
  }

  const answer = async (request: ApiRequest): Promise<Reply> => {
    const startedAt = clock.monotonic()
    const requestId = requestIdOf(request, random)
    const facts: RequestFacts = {}
    let path = ''
    let key: ApiKey | undefined
    let reply: Reply
    try {
      path = pathOf(request)
      guard.check(request)
      if (guard.isPreflight(request)) {
        reply = { status: 204, headers: {}, body: undefined }
      } else {
        if (!gate.isOpen(path)) {
          key = await gate.check(request)
          // By what it is not: `/%761/…` leads to `/v1/…` too.
          if (path !== '/metrics') limits.request(key)
        }
        reply = await route(contextOf(request, requestId, startedAt, key), facts)
      }
    } catch (error) {
      reply = failed(error, { request, requestId }, facts)
    }

    const { status, headers } = reply
    headers['x-request-id'] = requestId
    headers['x-content-type-options'] = 'nosniff'
    const cors = guard.corsHeaders(request)
    if (cors !== undefined) Object.assign(headers, cors)
    if (key !== undefined) Object.assign(headers, limits.headers(key))
    if (facts.code !== undefined) metrics.refused(facts.code)
    metrics.request(facts.route ?? 'none', request.method, status)
    logger?.log('info', 'api.request', {
      requestId,
      method: request.method,
      path: path.slice(0, 100),
      status,
      ...(facts.code !== undefined && { code: facts.code }),
      ...(key !== undefined && { caller: key.id }),
      durationMs: clock.monotonic() - startedAt
    })
    return reply
  }

  const api: Api = { fetch: async (request) => toResponse(await answer(new FetchRequest(request))) }
  rememberAnswer(api, answer)
  return api
}

const noParams: RequestContext['params'] = {}

function pathOf(request: ApiRequest): string {
  try {
    return request.path
  } catch (error) {
    throw new RequestRefused(invalidAddress, error)
  }
}

/** Whoever reaches a loopback port is this machine's user, but for the pages open there. */
function localCaller(request: ApiRequest): string {
  return (request.header('origin') ?? 'local').slice(0, MAX_CALLER_LENGTH)
}

function positive(value: number, name: string): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new KwaaiError(
    'ERR_API_INVALID_INIT',
    `Cannot make the API: ${name} is ${value}, it has to be a positive number`
  )
}

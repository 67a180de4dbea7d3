import { KwaaiError, type KeyValueStore } from '@kwaai/interface'
import { createCallerStore } from '../caller-store.ts'
import type { HandlerInit } from '../respond.ts'
import type { Route } from '../routes.ts'
import {
  DEFAULT_RESPONSE_BYTES,
  DEFAULT_RESPONSE_TTL_MS,
  DEFAULT_RESPONSES_PER_CALLER,
  DEFAULT_STORED_BYTES
} from './constants.ts'
import { createResponseHandler } from './create-handler.ts'
import {
  createCancelResponseHandler,
  createDeleteResponseHandler,
  createGetResponseHandler,
  createInputItemsHandler
} from './stored-handlers.ts'
import { createStoredResponses } from './stored-responses.ts'

/** How responses are kept for `previous_response_id` and for being asked for again. */
export interface ResponseStoreInit {
  /** How long. Default 30 days, as OpenAI does. */
  ttlMs?: number
  /** How many for one caller; the oldest goes first. Default 1000. */
  maxPerCaller?: number
  /** Bytes of one at most; a larger one is answered and not kept. Default 16 MiB. */
  maxResponseBytes?: number
  /** Bytes of all together; the oldest of the caller who has most goes first. Default 64 MiB. */
  maxBytes?: number
}

/**
 * The addresses of OpenAI's Responses API.
 * @throws A KwaaiError `ERR_API_INVALID_INIT` when a number is not a positive one.
 */
export function createResponseRoutes(
  handlers: HandlerInit,
  init: ResponseStoreInit,
  store: KeyValueStore
): Route[] {
  const bounds = {
    ttlMs: init.ttlMs ?? DEFAULT_RESPONSE_TTL_MS,
    maxPerCaller: init.maxPerCaller ?? DEFAULT_RESPONSES_PER_CALLER,
    maxValueBytes: init.maxResponseBytes ?? DEFAULT_RESPONSE_BYTES,
    maxBytes: init.maxBytes ?? DEFAULT_STORED_BYTES
  }
  for (const [name, value] of Object.entries(bounds))
    if (!(Number.isFinite(value) && value > 0))
      throw new KwaaiError(
        'ERR_API_INVALID_INIT',
        `Cannot make the API: ${name} of responses is ${value}, it has to be a positive number`
      )
  const kept = createCallerStore({ prefix: 'api/responses', ...bounds }, { store, clock: handlers.clock })
  const responses = createStoredResponses(kept, bounds.maxValueBytes)
  return [
    { method: 'POST', path: '/v1/responses', handler: createResponseHandler({ ...handlers, responses }) },
    { method: 'GET', path: '/v1/responses/:id', handler: createGetResponseHandler(responses) },
    { method: 'DELETE', path: '/v1/responses/:id', handler: createDeleteResponseHandler(responses) },
    { method: 'GET', path: '/v1/responses/:id/input_items', handler: createInputItemsHandler(responses) },
    { method: 'POST', path: '/v1/responses/:id/cancel', handler: createCancelResponseHandler(responses) }
  ]
}

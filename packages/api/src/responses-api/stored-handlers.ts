import type { ApiRequest } from '../api-request.ts'
import type { Handler } from '../context.ts'
import { invalid, RequestRefused, unsupported } from '../refusals.ts'
import { reply } from '../replies.ts'
import { DEFAULT_PAGE, MAX_PAGE } from './constants.ts'
import type { ConversationItem, ResponseItemList } from './objects.ts'
import type { StoredResponses } from './stored-responses.ts'

/** Makes the handler of `GET /v1/responses/{id}`. */
export function createGetResponseHandler(responses: StoredResponses): Handler {
  return async ({ request, caller, params }) => {
    const query = queryOf(request)
    const stream = query.get('stream')
    if (stream !== null && stream !== 'false')
      throw unsupported('stream', ': what is kept is whole, there are no events to follow')
    if (query.has('starting_after')) throw unsupported('starting_after')
    const { response } = await responses.get(caller, params['id'] ?? '', { signal: request.signal })
    return reply(response)
  }
}

/** Makes the handler of `DELETE /v1/responses/{id}`. */
export function createDeleteResponseHandler(responses: StoredResponses): Handler {
  return async ({ caller, params }) => {
    const id = params['id'] ?? ''
    await responses.delete(caller, id)
    return reply({ id, object: 'response', deleted: true })
  }
}

/** Makes the handler of `POST /v1/responses/{id}/cancel`: answers in the background alone could be cancelled so. */
export function createCancelResponseHandler(responses: StoredResponses): Handler {
  return async ({ request, caller, params }) => {
    await responses.get(caller, params['id'] ?? '', { signal: request.signal })
    throw new RequestRefused({
      status: 400,
      code: 'response_not_cancellable',
      message:
        'Only responses with background set to true can be cancelled; to end another one, close its connection'
    })
  }
}

/** Makes the handler of `GET /v1/responses/{id}/input_items`. */
export function createInputItemsHandler(responses: StoredResponses): Handler {
  return async ({ request, caller, params }) => {
    const query = queryOf(request)
    const order = query.get('order') ?? 'desc'
    if (order !== 'asc' && order !== 'desc') throw invalid(`'order' has to be 'asc' or 'desc'`, 'order')
    const limit = Number(query.get('limit') ?? DEFAULT_PAGE)
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE)
      throw invalid(`'limit' has to be an integer from 1 to ${MAX_PAGE}`, 'limit')
    const { input } = await responses.get(caller, params['id'] ?? '', { signal: request.signal })
    const items = order === 'asc' ? input : input.toReversed()
    return reply(page(items, limit, query.get('after') ?? undefined))
  }
}

function page(
  items: readonly ConversationItem[],
  limit: number,
  after: string | undefined
): ResponseItemList {
  const start = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && start === 0)
    throw invalid(`'after' names no item of this response: '${after.slice(0, 100)}'`, 'after')
  const data = items.slice(start, start + limit)
  return {
    object: 'list',
    data,
    first_id: data.at(0)?.id ?? '',
    last_id: data.at(-1)?.id ?? '',
    has_more: start + data.length < items.length
  }
}

function queryOf(request: ApiRequest): URLSearchParams {
  return new URL(request.url).searchParams
}

import type { CallOptions } from '@kwaai/interface'
import type { CallerStore } from '../caller-store.ts'
import { invalid, RequestRefused } from '../refusals.ts'
import { MAX_HISTORY } from './constants.ts'
import { responseOfItem } from './ids.ts'
import type { ItemReference } from './input-items.ts'
import type { ConversationItem, ResponseObject } from './objects.ts'

/** A response, and the items that came with its own request. */
export interface StoredResponse {
  response: ResponseObject
  input: readonly ConversationItem[]
}

/** The responses of each caller, and the conversations they make. */
export interface StoredResponses {
  /** @returns undefined where the caller has no such response. */
  find(caller: string | undefined, id: string, options?: CallOptions): Promise<StoredResponse | undefined>
  /** @throws A `RequestRefused` with 404. */
  get(caller: string | undefined, id: string, options?: CallOptions): Promise<StoredResponse>
  /** @returns false where it is too large to be kept. */
  put(caller: string, stored: StoredResponse): Promise<boolean>
  /** @throws A `RequestRefused` with 404. */
  delete(caller: string | undefined, id: string): Promise<void>
  /**
   * All items up to and with the response, the oldest first.
   * @throws A `RequestRefused` with 400 where one of the responses is not there any more.
   */
  history(caller: string | undefined, id: string, options?: CallOptions): Promise<ConversationItem[]>
  /**
   * The items of a request, each reference replaced by what it names.
   * @param known items the conversation has already; what names one of them says nothing new
   * @throws A `RequestRefused` with 400 where a reference names nothing, or all together name too much.
   */
  resolve(
    caller: string | undefined,
    items: readonly (ConversationItem | ItemReference)[],
    known: readonly ConversationItem[],
    options?: CallOptions
  ): Promise<ConversationItem[]>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Keeps responses for whoever asked for them.
 * @param maxHistoryBytes of all responses one conversation is made of, and of all items one request refers to
 */
export function createStoredResponses(store: CallerStore, maxHistoryBytes: number): StoredResponses {
  const read = async (
    caller: string | undefined,
    id: string,
    options: CallOptions
  ): Promise<{ stored: StoredResponse; bytes: number } | undefined> => {
    if (caller === undefined || !isResponseId(id)) return undefined
    const bytes = await store.get(caller, id, options)
    if (bytes === undefined) return undefined
    // Nobody but `put` below writes under these keys.
    return { stored: JSON.parse(decoder.decode(bytes)) as StoredResponse, bytes: bytes.length }
  }

  const find: StoredResponses['find'] = async (caller, id, options = {}) =>
    (await read(caller, id, options))?.stored

  const history: StoredResponses['history'] = async (caller, id, options = {}) => {
    const turns: ConversationItem[][] = []
    let bytes = 0
    for (let next: string | null = id; next !== null;) {
      options.signal?.throwIfAborted()
      const found = await read(caller, next, options)
      if (found === undefined) throw previousNotFound(next)
      bytes += found.bytes
      if (turns.length >= MAX_HISTORY || bytes > maxHistoryBytes)
        throw invalid(
          `The conversation that 'previous_response_id' leads back to is longer than ${MAX_HISTORY} responses ` +
            `or ${maxHistoryBytes} bytes; begin a new one`,
          'previous_response_id'
        )
      const { response, input } = found.stored
      turns.push([...input, ...response.output])
      next = response.previous_response_id
    }
    return turns.toReversed().flat()
  }

  const resolve: StoredResponses['resolve'] = async (caller, items, known, options = {}) => {
    const there = new Set(known.map(({ id }) => id))
    // What one response holds is read once, however many items are named.
    const read = new Map<string, readonly ConversationItem[]>()
    const resolved: ConversationItem[] = []
    let bytes = 0
    for (const item of items) {
      if (item.type !== 'item_reference') {
        resolved.push(item)
        continue
      }
      if (there.has(item.id)) continue
      const response = responseOfItem(item.id)
      let held = response === undefined ? [] : read.get(response)
      if (held === undefined && response !== undefined) {
        const stored = await find(caller, response, options)
        held = stored === undefined ? [] : [...stored.input, ...stored.response.output]
        read.set(response, held)
      }
      const found = held?.find(({ id }) => id === item.id)
      if (found === undefined)
        throw new RequestRefused({
          status: 400,
          param: item.at,
          code: 'item_not_found',
          message: `Item with id '${item.id}' not found; only items of stored responses can be referred to`
        })
      // A name is short and may come thousands of times, each time for all that it names.
      bytes += JSON.stringify(found).length
      if (bytes > maxHistoryBytes)
        throw invalid(`The items referred to have more than ${maxHistoryBytes} bytes all together`, item.at)
      resolved.push(found)
    }
    return resolved
  }

  return {
    find,
    history,
    resolve,
    async get(caller, id, options) {
      const stored = await find(caller, id, options)
      if (stored === undefined) throw responseNotFound(id)
      return stored
    },
    put: (caller, stored) => store.put(caller, stored.response.id, encoder.encode(JSON.stringify(stored))),
    async delete(caller, id) {
      if (caller === undefined || !isResponseId(id) || !(await store.delete(caller, id)))
        throw responseNotFound(id)
    }
  }
}

/** Nothing else is ever a part of a key. */
function isResponseId(id: string): boolean {
  return /^resp_[0-9a-f]{32}$/.test(id)
}

function responseNotFound(id: string): RequestRefused {
  return new RequestRefused({
    status: 404,
    code: 'response_not_found',
    message: `Response with id '${id.slice(0, 100)}' not found.`
  })
}

function previousNotFound(id: string): RequestRefused {
  return new RequestRefused({
    status: 400,
    param: 'previous_response_id',
    code: 'previous_response_not_found',
    message: `Previous response with id '${id.slice(0, 100)}' not found.`
  })
}

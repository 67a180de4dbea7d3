import type { Answer } from '../answer.ts'
import { throwIfGone } from '../api-request.ts'
import { readJsonObject } from '../body.ts'
import type { Handler } from '../context.ts'
import { invalid, modelNotFound, textOf, unsupported, type RequestWords } from '../refusals.ts'
import { respond, withPlace, type HandlerInit } from '../respond.ts'
import { toChatMessages } from './conversation.ts'
import { parseInput, withIds } from './input-items.ts'
import type { ResponseObject } from './objects.ts'
import { parseResponseRequest } from './request.ts'
import { createResponseWriter, type ResponseWriter } from './response-writer.ts'
import type { StoredResponses } from './stored-responses.ts'

/** What the handler of `POST /v1/responses` needs. */
export interface CreateResponseHandlerInit extends HandlerInit {
  responses: StoredResponses
}

const fields: ReadonlyMap<string, string> = new Map([
  ['maxTokens', 'max_output_tokens'],
  ['constraint', 'text.format'],
  ['messages', 'input'],
  ['logprobs', 'top_logprobs'],
  ['route', 'kwaai'],
  // A model that cannot show itself calls of earlier turns.
  ['tool_calls', 'input']
])

/** How a request of this route calls what a model's error is about. */
const words: RequestWords = { text: 'input', param: (option) => fields.get(option) }

/** Makes the handler of `POST /v1/responses`. */
export function createResponseHandler(init: CreateResponseHandlerInit): Handler {
  const { responses, clock, logger } = init
  return (context) =>
    withPlace(context, async (admission) => {
      const { request, caller, requestId } = context
      const { signal } = request
      const parsed = parseResponseRequest(await readJsonObject(request, init.maxBodyBytes))
      const { settings } = parsed
      if (!context.mayUse(parsed.model)) throw modelNotFound(parsed.model)
      if (parsed.storeAsked && caller === undefined)
        throw unsupported('store', ': it cannot tell its callers apart, so it keeps nothing for any of them')

      const given = parseInput(parsed.input)
      const previous = settings.previous_response_id
      const history = previous === null ? [] : await responses.history(caller, previous, { signal })
      const input = await responses.resolve(caller, given.items, history, { signal })
      const messages = toChatMessages(settings.instructions ?? undefined, [...history, ...input])
      if (input.length + history.length === 0)
        throw invalid(`'input' has to have at least one item that says something`, 'input')

      const { model, description } = await init.catalogue.find(parsed.model, request)
      throwIfGone(request)
      const asked = { ...parsed.options, messages, ...(caller !== undefined && { caller }) }
      const store = settings.store && caller !== undefined
      const keep = async (response: ResponseObject): Promise<boolean> => {
        if (!store) return false
        try {
          if (await responses.put(caller, { response, input: withIds(input, response.id) })) return true
          logger?.log('warn', 'api.response-not-kept', { requestId, id: response.id, error: 'too large' })
        } catch (error) {
          logger?.log('warn', 'api.response-not-kept', { requestId, id: response.id, error: textOf(error) })
        }
        // The answer is there all the same; it says that it is not kept.
        return false
      }
      const writer = (answer: Answer): ResponseWriter =>
        createResponseWriter(answer, { ...settings, store }, clock, keep)

      return await respond(init, context, admission, {
        kind: 'response',
        idPrefix: 'resp_',
        model: description.id,
        stream: parsed.stream,
        n: 1,
        tools:
          asked.tools === undefined || asked.toolChoice === 'none'
            ? 'none'
            : asked.parallelToolCalls === false
              ? 'one'
              : 'many',
        logprobs: asked.logprobs !== undefined,
        open: (options) => model.chat(asked, options),
        words,
        ignored: [...parsed.ignored, ...given.ignored],
        collector: writer,
        writer
      })
    })
}

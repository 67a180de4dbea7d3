import { throwIfGone } from './api-request.ts'
import { readJsonObject } from './body.ts'
import { createChatCollector, createChatWriter } from './chat.ts'
import { parseChatRequest } from './chat-request.ts'
import type { Handler } from './context.ts'
import { modelNotFound } from './refusals.ts'
import { respond, withPlace, type HandlerInit } from './respond.ts'

/** Makes the handler of `POST /v1/chat/completions`. */
export function createChatHandler(init: HandlerInit): Handler {
  return (context) =>
    withPlace(context, async (admission) => {
      const { request, caller } = context
      const parsed = parseChatRequest(await readJsonObject(request, init.maxBodyBytes))
      if (!context.mayUse(parsed.model)) throw modelNotFound(parsed.model)
      const { model, description } = await init.catalogue.find(parsed.model, request)
      throwIfGone(request)
      const asked = { ...parsed.request, ...(caller !== undefined && { caller }) }
      const logprobs = asked.logprobs !== undefined
      const { includeUsage, words, ignored, stream } = parsed
      return await respond(init, context, admission, {
        kind: 'chat',
        idPrefix: 'chatcmpl-',
        model: description.id,
        stream,
        n: asked.n ?? 1,
        tools:
          asked.tools === undefined || asked.toolChoice === 'none'
            ? 'none'
            : asked.parallelToolCalls === false
              ? 'one'
              : 'many',
        logprobs,
        open: (options) => model.chat(asked, options),
        words,
        ignored,
        collector: (answer) => createChatCollector(answer, { logprobs }),
        writer: (answer) => createChatWriter(answer, { includeUsage, logprobs })
      })
    })
}

import { throwIfGone } from './api-request.ts'
import { readJsonObject } from './body.ts'
import { parseCompletionRequest } from './completion-request.ts'
import { completeEach, createCompletionCollector, createCompletionWriter } from './completions.ts'
import type { Handler } from './context.ts'
import { modelNotFound } from './refusals.ts'
import { respond, withPlace, type HandlerInit } from './respond.ts'

/** Makes the handler of `POST /v1/completions`. */
export function createCompletionHandler(init: HandlerInit): Handler {
  return (context) =>
    withPlace(context, async (admission) => {
      const { request, caller } = context
      const parsed = parseCompletionRequest(await readJsonObject(request, init.maxBodyBytes))
      if (!context.mayUse(parsed.model)) throw modelNotFound(parsed.model)
      const { model, description } = await init.catalogue.find(parsed.model, request)
      throwIfGone(request)
      const { n, echoes, stream, includeUsage, words, ignored } = parsed
      const asked = parsed.requests.map((one) => ({ ...one, ...(caller !== undefined && { caller }) }))
      const [first, ...others] = asked
      const logprobs = first?.logprobs !== undefined
      const form = { n, echoes, logprobs }
      return await respond(init, context, admission, {
        kind: 'completion',
        idPrefix: 'cmpl-',
        model: description.id,
        stream,
        n: n * asked.length,
        tools: 'none',
        logprobs,
        open: (options) =>
          first !== undefined && others.length === 0
            ? model.complete(first, options)
            : completeEach(model, asked, n, options),
        words,
        ignored,
        collector: (answer) => createCompletionCollector(answer, form),
        writer: (answer) => createCompletionWriter(answer, { ...form, includeUsage })
      })
    })
}

import type { Clock, Logger, Random } from '@kwaai/interface'
import { readJsonObject } from './body.ts'
import type { Catalogue } from './catalogue.ts'
import { chatFrames, completeChat, type GenerationReport } from './chat.ts'
import { parseChatRequest } from './chat-request.ts'
import type { Admission, AnswerOutcome, Handler, RequestContext } from './context.ts'
import { MAX_IGNORED_NAME_LENGTH, MAX_IGNORED_NAMES } from './constants.ts'
import { logFailure, modelNotFound, refusalOf, type Refusal } from './refusals.ts'
import { createEventStream } from './event-stream.ts'
import { startGeneration } from './generation.ts'
import { randomId } from './ids.ts'
import { reply } from './replies.ts'
import type { AnswerHead } from './responses.ts'

/** What the handler of `POST /v1/chat/completions` needs. */
export interface ChatHandlerInit {
  catalogue: Catalogue
  clock: Clock
  random: Random
  logger: Logger | undefined
  maxBodyBytes: number
  keepAliveMs: number
  stallTimeoutMs: number
  retryAfterMs: number
}

/** Makes the handler of `POST /v1/chat/completions`. */
export function createChatHandler(init: ChatHandlerInit): Handler {
  const { clock, logger, keepAliveMs } = init

  const handle = async (context: RequestContext, admission: Admission): Promise<Response> => {
    const { request, requestId, caller } = context
    const body = await readJsonObject(request, init.maxBodyBytes)
    const parsed = parseChatRequest(body)
    const { model, description } = await init.catalogue.find(parsed.model, request.signal)
    if (!context.mayUse(description.id)) throw modelNotFound(parsed.model)
    request.signal.throwIfAborted()
    const startedAt = clock.monotonic()
    const report: GenerationReport = {}
    const asked = { ...parsed.request, ...(caller !== undefined && { caller }) }
    const head: AnswerHead = {
      id: randomId('chatcmpl-', init.random),
      created: Math.floor(clock.now() / 1000),
      model: description.id
    }
    const generation = startGeneration(model, asked, request.signal, (error) => {
      const failure = report.error ?? error
      const outcome: AnswerOutcome = {
        ...head,
        kind: 'chat',
        stream: parsed.stream,
        outcome: failure !== undefined ? 'failed' : generation.signal.aborted ? 'cancelled' : 'completed',
        durationMs: clock.monotonic() - startedAt
      }
      if (report.finishReason !== undefined) outcome.finishReason = report.finishReason
      if (report.usage !== undefined) outcome.usage = report.usage
      admission.end(outcome).catch(() => undefined)
    })
    const headers = ignoredHeader(parsed.ignored)

    try {
      if (!parsed.stream) return reply(await completeChat(generation, head, report), 200, headers)
      const first = generation.next()
      await firstOrLate(first, generation.signal)
      return new Response(
        createEventStream({
          frames: chatFrames({
            generation,
            first,
            head,
            report,
            includeUsage: parsed.includeUsage,
            refusalOf: (error): Refusal => {
              const refusal = refusalOf(error, init.retryAfterMs)
              if (refusal.status >= 500) logFailure(logger, requestId, error)
              return refusal
            }
          }),
          stop: generation.stop,
          clock,
          keepAliveMs,
          stallTimeoutMs: init.stallTimeoutMs
        }),
        {
          headers: {
            ...headers,
            'content-type': 'text/event-stream; charset=utf-8',
            'cache-control': 'no-store',
            // nginx would collect the stream before it passes it on.
            'x-accel-buffering': 'no'
          }
        }
      )
    } catch (error) {
      report.error = error
      generation.stop()
      throw error
    }
  }

  // A model that fails at once is answered with a status of its own; one that takes its time gets the 200 of
  // a stream, so that the client sees life.
  const firstOrLate = async (first: Promise<unknown>, stopped: AbortSignal): Promise<void> => {
    const waiting = new AbortController()
    const late = clock.sleep(keepAliveMs, { signal: AbortSignal.any([waiting.signal, stopped]) })
    first.catch(() => undefined)
    late.catch(() => undefined)
    try {
      await Promise.race([first, late])
    } finally {
      waiting.abort()
    }
  }

  return async (context) => {
    const admission = context.admit()
    try {
      return await handle(context, admission)
    } catch (error) {
      admission.release()
      throw error
    }
  }
}

/** Header values are ASCII and finite; names of fields are neither by nature. */
function ignoredHeader(names: readonly string[]): Record<string, string> {
  if (names.length === 0) return {}
  const shown = names
    .slice(0, MAX_IGNORED_NAMES)
    .map((name) => name.slice(0, MAX_IGNORED_NAME_LENGTH).replace(/[^\w.[\]-]/g, '?'))
  return { 'x-kwaai-ignored': shown.join(', ') }
}

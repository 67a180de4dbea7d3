import { misbehaved } from './answer.ts'
import { readJsonObject } from './body.ts'
import type { Handler } from './context.ts'
import { checkDimensions, cutVector, parseEmbeddingRequest, toBase64 } from './embeddings.ts'
import { randomId } from './ids.ts'
import { modelNotFound, refusalOf, RequestRefused, logFailure, type RequestWords } from './refusals.ts'
import { reply } from './replies.ts'
import { ignoredHeader, receiptHeader } from './reply-headers.ts'
import { withPlace, type HandlerInit } from './respond.ts'
import type { AnswerOutcome } from './context.ts'
import type { EmbeddingList } from './responses.ts'

const words: RequestWords = { text: 'input', param: () => undefined }

/** Makes the handler of `POST /v1/embeddings`, over embedders and models that make embeddings too. */
export function createEmbeddingHandler(init: HandlerInit): Handler {
  const { clock, logger } = init
  return (context) =>
    withPlace(context, async (admission) => {
      const { request, requestId } = context
      const parsed = parseEmbeddingRequest(await readJsonObject(request, init.maxBodyBytes))
      if (!context.mayUse(parsed.model)) throw modelNotFound(parsed.model)
      const entry = await init.catalogue.findAny(parsed.model, request)
      request.signal.throwIfAborted()
      if ('embedder' in entry) checkDimensions(parsed.dimensions, entry.description.dimensions)
      const embedder = 'embedder' in entry ? entry.embedder : entry.model
      const model = entry.description.id
      const id = randomId('embd-', init.random)

      const end = async (
        outcome: Pick<AnswerOutcome, 'outcome' | 'usage' | 'error'>
      ): Promise<string | undefined> => {
        try {
          return await admission.end({
            id,
            kind: 'embedding',
            model,
            created: Math.floor(clock.now() / 1000),
            stream: false,
            durationMs: clock.monotonic() - context.startedAt,
            ...outcome
          })
        } catch (error) {
          logFailure(logger, requestId, error)
          return undefined
        }
      }

      try {
        const { input, dimensions, base64 } = parsed
        const { vectors, usage } = await orGone(
          embedder.embed({ input }, { signal: request.signal }),
          request.signal
        )
        if (vectors.length !== input.length) throw misbehaved('its vectors are not one an input')
        const data = vectors.map((vector, index): EmbeddingList['data'][0] => {
          checkDimensions(dimensions, vector.length)
          const cut = cutVector(vector, dimensions)
          return { object: 'embedding', index, embedding: base64 ? toBase64(cut) : Array.from(cut) }
        })
        const receipt = await end({ outcome: 'completed', usage })
        const list: EmbeddingList = {
          object: 'list',
          data,
          model,
          usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens }
        }
        return reply(list, 200, {
          // OpenAI's list has no id of its own; the provenance is asked for by this one.
          'x-kwaai-answer': id,
          ...ignoredHeader(parsed.ignored),
          ...receiptHeader(receipt)
        })
      } catch (error) {
        if (request.signal.aborted) {
          void end({ outcome: 'cancelled' })
          throw error
        }
        const refusal = refusalOf(error, init.retryAfterMs, words)
        if (refusal.status >= 500) await end({ outcome: 'failed', error })
        throw refusal.status < 500 ? new RequestRefused(refusal, error) : error
      }
    })
}

/** Nobody waits for a model that does not listen to its signal. */
function orGone<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

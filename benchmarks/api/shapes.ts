import type { ChatRequest, FinishReason, LanguageModel, Usage } from '@kwaai/interface'

/** The fields of a request that the peers know, as they arrive. */
export interface Asked {
  model: string
  messages: { role: 'system' | 'user' | 'assistant'; content: string }[]
  max_tokens?: number
  temperature?: number
  top_p?: number
  stop?: string[]
  seed?: number
  stream?: boolean
}

/** JSON Schema of {@link Asked}, with the ranges of OpenAI's description. */
export const askedSchema = {
  type: 'object',
  required: ['model', 'messages'],
  properties: {
    model: { type: 'string' },
    messages: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['role', 'content'],
        properties: {
          role: { type: 'string', enum: ['system', 'user', 'assistant'] },
          content: { type: 'string' }
        }
      }
    },
    max_tokens: { type: 'integer', minimum: 1 },
    temperature: { type: 'number', minimum: 0, maximum: 2 },
    top_p: { type: 'number', minimum: 0, maximum: 1 },
    stop: { type: 'array', maxItems: 4, items: { type: 'string', minLength: 1 } },
    seed: { type: 'integer' },
    stream: { type: 'boolean' }
  }
}

const usage = {
  type: 'object',
  properties: {
    prompt_tokens: { type: 'integer' },
    completion_tokens: { type: 'integer' },
    total_tokens: { type: 'integer' },
    prompt_tokens_details: { type: 'object', properties: { cached_tokens: { type: 'integer' } } }
  }
}

/** JSON Schema of an answer, from which Fastify makes its serialiser. */
export const answerSchema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    object: { type: 'string' },
    created: { type: 'integer' },
    model: { type: 'string' },
    system_fingerprint: { type: 'string' },
    choices: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          index: { type: 'integer' },
          message: {
            type: 'object',
            properties: {
              role: { type: 'string' },
              content: { type: 'string' },
              refusal: { type: 'null' },
              annotations: { type: 'array' }
            }
          },
          logprobs: { type: 'null' },
          finish_reason: { type: 'string' }
        }
      }
    },
    usage
  }
}

/** A peer's request in the words of the contract. */
export function toRequest(asked: Asked): ChatRequest {
  const { messages, max_tokens, temperature, top_p, stop, seed } = asked
  return {
    messages,
    ...(max_tokens !== undefined && { maxTokens: max_tokens }),
    ...(temperature !== undefined && { temperature }),
    ...(top_p !== undefined && { topP: top_p }),
    ...(stop !== undefined && { stop }),
    ...(seed !== undefined && { seed })
  }
}

/** What the chunks of an answer and a whole one have in common. */
export interface Head {
  id: string
  created: number
  model: string
}

/** Reads an answer to its end and gives it in OpenAI's form, the fields and their order as ours. */
export async function wholeAnswer(
  model: LanguageModel,
  asked: Asked,
  head: Head,
  signal?: AbortSignal
): Promise<object> {
  let content = ''
  let finish: FinishReason | null = null
  let counts: Usage | undefined
  for await (const event of model.chat(toRequest(asked), signal === undefined ? {} : { signal })) {
    if (event.type === 'text') content += event.text
    else if (event.type === 'finish') finish = event.reason
    else if (event.type === 'usage') counts = event.usage
  }
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    system_fingerprint: fingerprint,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: finish
      }
    ],
    usage: {
      prompt_tokens: counts?.promptTokens,
      completion_tokens: counts?.completionTokens,
      total_tokens: (counts?.promptTokens ?? 0) + (counts?.completionTokens ?? 0),
      prompt_tokens_details: { cached_tokens: counts?.cachedTokens }
    }
  }
}

/** The frames of an answer, one for each event, and `[DONE]`. */
export async function* answerFrames(
  model: LanguageModel,
  asked: Asked,
  head: Head,
  signal?: AbortSignal
): AsyncGenerator<string> {
  const frame = (delta: object, reason: FinishReason | null = null): string => {
    const chunk = {
      id: head.id,
      object: 'chat.completion.chunk',
      created: head.created,
      model: head.model,
      system_fingerprint: fingerprint,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }]
    }
    return `data: ${JSON.stringify(chunk)}\n\n`
  }
  yield frame({ role: 'assistant', content: '', refusal: null })
  for await (const event of model.chat(toRequest(asked), signal === undefined ? {} : { signal })) {
    if (event.type === 'text') yield frame({ content: event.text })
    else if (event.type === 'finish') yield frame({}, event.reason)
  }
  yield 'data: [DONE]\n\n'
}

/** As long as ours. */
const fingerprint = 'fp_00000000'

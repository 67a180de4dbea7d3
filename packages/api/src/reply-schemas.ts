import * as z from 'zod'
import type {
  ChatCompletion,
  ChatCompletionChunk,
  Completion,
  EmbedderObject,
  EmbeddingList,
  ModelObject
} from './responses.ts'
import type { ErrorObject } from './refusals.ts'

// Strict: one field more or less than these fails, as the tests hold every reply to them.
const count = z.int().min(0)
const usage = z.strictObject({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.strictObject({ cached_tokens: count })
})
const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter'])
const head = { id: z.string(), created: z.int(), model: z.string(), system_fingerprint: z.string() }

const probability = {
  token: z.string(),
  logprob: z.number().min(-9999),
  bytes: z.array(z.int().min(0).max(255))
}
const chatLogprobs = z.strictObject({
  content: z.array(
    z.strictObject({ ...probability, top_logprobs: z.array(z.strictObject(probability)).max(20) })
  ),
  refusal: z.null()
})
const toolCall = z.strictObject({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string().min(1), arguments: z.string() })
})
const toolCallDelta = z.strictObject({
  index: count,
  id: z.string().exactOptional(),
  type: z.literal('function').exactOptional(),
  function: z.strictObject({ name: z.string().exactOptional(), arguments: z.string() })
})

/** The reply of `POST /v1/chat/completions`. */
export const chatCompletionSchema: z.ZodType<ChatCompletion> = z.strictObject({
  ...head,
  object: z.literal('chat.completion'),
  choices: z
    .array(
      z.strictObject({
        index: count,
        message: z.strictObject({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          refusal: z.null(),
          annotations: z.tuple([]),
          tool_calls: z.array(toolCall).min(1).exactOptional()
        }),
        logprobs: chatLogprobs.nullable(),
        finish_reason: finishReason
      })
    )
    .min(1),
  usage
})

/** An event of a streamed chat. */
export const chatChunkSchema: z.ZodType<ChatCompletionChunk> = z.strictObject({
  ...head,
  object: z.literal('chat.completion.chunk'),
  choices: z
    .array(
      z.strictObject({
        index: count,
        delta: z.strictObject({
          role: z.literal('assistant').exactOptional(),
          content: z.string().exactOptional(),
          refusal: z.null().exactOptional(),
          tool_calls: z.array(toolCallDelta).length(1).exactOptional()
        }),
        logprobs: chatLogprobs.nullable(),
        finish_reason: finishReason.nullable()
      })
    )
    .max(1),
  usage: usage.nullable().exactOptional()
})

/** The reply of `POST /v1/completions`, and an event of its stream. */
export const completionSchema: z.ZodType<Completion> = z.strictObject({
  ...head,
  object: z.literal('text_completion'),
  choices: z.array(
    z.strictObject({
      index: count,
      text: z.string(),
      logprobs: z
        .strictObject({
          tokens: z.array(z.string()),
          token_logprobs: z.array(z.number().min(-9999)),
          top_logprobs: z.array(z.record(z.string(), z.number())),
          text_offset: z.array(count)
        })
        .nullable(),
      finish_reason: finishReason.nullable()
    })
  ),
  usage: usage.nullable().exactOptional()
})

/** The reply of `POST /v1/embeddings`. */
export const embeddingListSchema: z.ZodType<EmbeddingList> = z.strictObject({
  object: z.literal('list'),
  model: z.string(),
  data: z.array(
    z.strictObject({
      object: z.literal('embedding'),
      index: count,
      embedding: z.union([z.array(z.number()).min(1), z.string().min(1)])
    })
  ),
  usage: z.strictObject({ prompt_tokens: count, total_tokens: count })
})

const modelHead = { id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() }

/** The reply of `GET /v1/models/{id}`. */
export const modelSchema: z.ZodType<ModelObject | EmbedderObject> = z.union([
  z.strictObject({
    ...modelHead,
    context_length: count,
    ready: z.boolean(),
    coverage: z.array(z.strictObject({ from: count, to: count, servers: count })).exactOptional()
  }),
  z.strictObject({ ...modelHead, context_length: count, dimensions: z.int().min(1) })
])

/** The reply of `GET /v1/models`. */
export const modelListSchema: z.ZodType<{ object: 'list'; data: (ModelObject | EmbedderObject)[] }> =
  z.strictObject({ object: z.literal('list'), data: z.array(modelSchema) })

/** The reply of whatever is refused or fails. */
export const errorSchema: z.ZodType<ErrorObject> = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.enum(['invalid_request_error', 'server_error', 'rate_limit_error']),
    param: z.string().nullable(),
    code: z.string().nullable()
  })
})

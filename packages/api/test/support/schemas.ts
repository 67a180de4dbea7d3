import { z } from 'zod'

// OpenAI's answers as we give them, strict: one field more or less fails. The published schema is checked besides,
// in openai-schema.node.spec.ts.
const usage = z.strictObject({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  total_tokens: z.int().min(0),
  prompt_tokens_details: z.strictObject({ cached_tokens: z.int().min(0) })
})
const reason = z.enum(['stop', 'length', 'tool_calls', 'content_filter'])
const head = {
  id: z.string().regex(/^chatcmpl-[0-9a-f]{32}$/),
  created: z.int(),
  model: z.string(),
  system_fingerprint: z.string().regex(/^fp_[0-9a-f]{8}$/)
}

export const chatCompletion = z.strictObject({
  ...head,
  object: z.literal('chat.completion'),
  choices: z.tuple([
    z.strictObject({
      index: z.literal(0),
      message: z.strictObject({
        role: z.literal('assistant'),
        content: z.string(),
        refusal: z.null(),
        annotations: z.tuple([])
      }),
      logprobs: z.null(),
      finish_reason: reason
    })
  ]),
  usage
})

export const chatChunk = z.strictObject({
  ...head,
  object: z.literal('chat.completion.chunk'),
  choices: z
    .array(
      z.strictObject({
        index: z.literal(0),
        delta: z.strictObject({
          role: z.literal('assistant').optional(),
          content: z.string().optional(),
          refusal: z.null().optional()
        }),
        logprobs: z.null(),
        finish_reason: reason.nullable()
      })
    )
    .max(1),
  usage: usage.nullable().optional()
})

export const model = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
  context_length: z.int(),
  ready: z.boolean()
})
export const modelList = z.strictObject({ object: z.literal('list'), data: z.array(model) })

export const errorObject = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.enum(['invalid_request_error', 'server_error', 'rate_limit_error']),
    param: z.string().nullable(),
    code: z.string().nullable()
  })
})

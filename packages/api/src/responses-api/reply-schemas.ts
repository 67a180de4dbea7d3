import * as z from 'zod'
import type { ResponseStreamEvent } from './events.ts'
import type { ConversationItem, OutputItem, ResponseItemList, ResponseObject } from './objects.ts'

// Strict: one field more or less than these fails.
const count = z.int().min(0)
const id = z.string()
const probability = { token: z.string(), logprob: z.number(), bytes: z.array(z.int().min(0).max(255)) }
const logprobs = z.array(
  z.strictObject({ ...probability, top_logprobs: z.array(z.strictObject(probability)).max(20) })
)
const status = z.enum(['in_progress', 'completed', 'incomplete'])
const textPart = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.tuple([]),
  logprobs
})
const refusalPart = z.strictObject({ type: z.literal('refusal'), refusal: z.string() })
const inputPart = z.strictObject({ type: z.literal('input_text'), text: z.string() })

const functionCall = z.strictObject({
  id,
  type: z.literal('function_call'),
  status,
  call_id: z.string(),
  name: z.string(),
  arguments: z.string()
})
const outputMessage = z.strictObject({
  id,
  type: z.literal('message'),
  status,
  role: z.literal('assistant'),
  content: z.array(z.union([textPart, refusalPart]))
})
const outputItem: z.ZodType<OutputItem> = z.union([outputMessage, functionCall])
const conversationItem: z.ZodType<ConversationItem> = z.union([
  outputMessage,
  functionCall,
  z.strictObject({
    id,
    type: z.literal('message'),
    status,
    role: z.enum(['user', 'system', 'developer']),
    content: z.array(inputPart)
  }),
  z.strictObject({
    id,
    type: z.literal('function_call_output'),
    status,
    call_id: z.string(),
    output: z.union([z.string(), z.array(inputPart)])
  })
])

const namedFunction = z.strictObject({ type: z.literal('function'), name: z.string() })
const settings = {
  background: z.literal(false),
  instructions: z.string().nullable(),
  max_output_tokens: count.nullable(),
  max_tool_calls: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.string().nullable(),
  prompt_cache_key: z.string().nullable(),
  reasoning: z.strictObject({ effort: z.null(), summary: z.null() }),
  safety_identifier: z.string().nullable(),
  service_tier: z.literal('default'),
  store: z.boolean(),
  temperature: z.number(),
  text: z.strictObject({
    format: z.union([
      z.strictObject({ type: z.literal('text') }),
      z.strictObject({ type: z.literal('json_object') }),
      z.strictObject({
        type: z.literal('json_schema'),
        name: z.string(),
        description: z.string().exactOptional(),
        schema: z.unknown(),
        strict: z.boolean()
      })
    ]),
    verbosity: z.literal('medium')
  }),
  tool_choice: z.union([
    z.enum(['none', 'auto', 'required']),
    namedFunction,
    z.strictObject({
      type: z.literal('allowed_tools'),
      mode: z.enum(['auto', 'required']),
      tools: z.array(namedFunction)
    })
  ]),
  tools: z.array(
    z.strictObject({
      type: z.literal('function'),
      name: z.string(),
      description: z.string().nullable(),
      parameters: z.unknown(),
      strict: z.boolean()
    })
  ),
  top_logprobs: count,
  top_p: z.number(),
  truncation: z.literal('disabled'),
  user: z.string().exactOptional()
}

/** The reply of `POST /v1/responses` and `GET /v1/responses/{id}`. */
export const responseSchema: z.ZodType<ResponseObject> = z.strictObject({
  id,
  object: z.literal('response'),
  created_at: z.int(),
  completed_at: z.int().nullable(),
  status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
  error: z
    .strictObject({
      code: z.enum(['server_error', 'rate_limit_exceeded', 'invalid_prompt']),
      message: z.string()
    })
    .nullable(),
  incomplete_details: z.strictObject({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
  model: z.string(),
  output: z.array(outputItem),
  usage: z
    .strictObject({
      input_tokens: count,
      input_tokens_details: z.strictObject({ cached_tokens: count, cache_write_tokens: count }),
      output_tokens: count,
      output_tokens_details: z.strictObject({ reasoning_tokens: count }),
      total_tokens: count
    })
    .exactOptional(),
  ...settings
})

const numbered = { sequence_number: count }
const ofItem = { ...numbered, item_id: z.string(), output_index: count }
const ofPart = { ...ofItem, content_index: count }

/** An event of a streamed response. */
export const responseEventSchema: z.ZodType<ResponseStreamEvent> = z.union([
  z.strictObject({
    type: z.enum([
      'response.created',
      'response.in_progress',
      'response.completed',
      'response.incomplete',
      'response.failed'
    ]),
    ...numbered,
    response: responseSchema
  }),
  z.strictObject({
    type: z.enum(['response.output_item.added', 'response.output_item.done']),
    ...numbered,
    output_index: count,
    item: outputItem
  }),
  z.strictObject({
    type: z.enum(['response.content_part.added', 'response.content_part.done']),
    ...ofPart,
    part: textPart
  }),
  z.strictObject({
    type: z.literal('response.output_text.delta'),
    ...ofPart,
    delta: z.string(),
    logprobs
  }),
  z.strictObject({ type: z.literal('response.output_text.done'), ...ofPart, text: z.string(), logprobs }),
  z.strictObject({
    type: z.literal('response.function_call_arguments.delta'),
    ...ofItem,
    delta: z.string()
  }),
  z.strictObject({
    type: z.literal('response.function_call_arguments.done'),
    ...ofItem,
    name: z.string(),
    arguments: z.string()
  }),
  z.strictObject({
    type: z.literal('error'),
    ...numbered,
    code: z.string().nullable(),
    message: z.string(),
    param: z.string().nullable()
  })
])

/** The reply of `GET /v1/responses/{id}/input_items`. */
export const responseItemListSchema: z.ZodType<ResponseItemList> = z.strictObject({
  object: z.literal('list'),
  data: z.array(conversationItem),
  first_id: z.string(),
  last_id: z.string(),
  has_more: z.boolean()
})

/** The reply of `DELETE /v1/responses/{id}`. */
export const responseDeletedSchema: z.ZodType<{ id: string; object: 'response'; deleted: true }> =
  z.strictObject({ id, object: z.literal('response'), deleted: z.literal(true) })

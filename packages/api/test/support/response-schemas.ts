import { z } from 'zod'

// The answers of /v1/responses as we give them, strict: one field more or less fails. The published schema is
// checked besides, in responses-schema.node.spec.ts.
const count = z.int().min(0)
const responseId = z.string().regex(/^resp_[0-9a-f]{32}$/)
const itemId = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-f]{32}[ab][0-9a-f]{4}$`))
const probability = { token: z.string(), logprob: z.number().max(0), bytes: z.array(z.int()) }
const logprob = z.strictObject({ ...probability, top_logprobs: z.array(z.strictObject(probability)).max(20) })

const textPart = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.tuple([]),
  logprobs: z.array(logprob)
})
const status = z.enum(['in_progress', 'completed', 'incomplete'])
const message = z.strictObject({
  id: itemId('msg'),
  type: z.literal('message'),
  status,
  role: z.literal('assistant'),
  content: z.array(textPart)
})
const call = z.strictObject({
  id: itemId('fc'),
  type: z.literal('function_call'),
  status,
  call_id: z.string().min(1),
  name: z.string().min(1),
  arguments: z.string()
})
const outputItem = z.union([message, call])
const inputPart = z.strictObject({ type: z.literal('input_text'), text: z.string() })

const format = z.union([
  z.strictObject({ type: z.enum(['text', 'json_object']) }),
  z.strictObject({
    type: z.literal('json_schema'),
    name: z.string(),
    description: z.string().optional(),
    schema: z.record(z.string(), z.unknown()),
    strict: z.boolean()
  })
])

export const responseObject = z.strictObject({
  id: responseId,
  object: z.literal('response'),
  created_at: z.int(),
  completed_at: z.int().nullable(),
  status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
  error: z
    .strictObject({
      code: z.enum(['server_error', 'rate_limit_exceeded', 'invalid_prompt']),
      message: z.string().min(1)
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
    .optional(),
  background: z.literal(false),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().min(1).nullable(),
  max_tool_calls: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  previous_response_id: responseId.nullable(),
  prompt_cache_key: z.string().nullable(),
  reasoning: z.strictObject({ effort: z.null(), summary: z.null() }),
  safety_identifier: z.string().nullable(),
  service_tier: z.literal('default'),
  store: z.boolean(),
  temperature: z.number(),
  text: z.strictObject({ format, verbosity: z.literal('medium') }),
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]),
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
  user: z.string().optional()
})

const numbered = { sequence_number: count }
const inItem = { ...numbered, item_id: z.string(), output_index: count }
const inPart = { ...inItem, content_index: z.literal(0) }

export const responseEvent = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.enum([
      'response.created',
      'response.in_progress',
      'response.completed',
      'response.incomplete',
      'response.failed'
    ]),
    ...numbered,
    response: responseObject
  }),
  z.strictObject({
    type: z.enum(['response.output_item.added', 'response.output_item.done']),
    ...numbered,
    output_index: count,
    item: outputItem
  }),
  z.strictObject({
    type: z.enum(['response.content_part.added', 'response.content_part.done']),
    ...inPart,
    part: textPart
  }),
  z.strictObject({
    type: z.literal('response.output_text.delta'),
    ...inPart,
    delta: z.string(),
    logprobs: z.array(logprob)
  }),
  z.strictObject({
    type: z.literal('response.output_text.done'),
    ...inPart,
    text: z.string(),
    logprobs: z.array(logprob)
  }),
  z.strictObject({
    type: z.literal('response.function_call_arguments.delta'),
    ...inItem,
    delta: z.string().min(1)
  }),
  z.strictObject({
    type: z.literal('response.function_call_arguments.done'),
    ...inItem,
    name: z.string(),
    arguments: z.string()
  }),
  z.strictObject({
    type: z.literal('error'),
    ...numbered,
    code: z.string(),
    message: z.string(),
    param: z.string().nullable()
  })
])

export const responseItemList = z.strictObject({
  object: z.literal('list'),
  data: z.array(
    z.union([
      z.strictObject({
        id: z.string(),
        type: z.literal('message'),
        status,
        role: z.enum(['user', 'system', 'developer']),
        content: z.array(inputPart)
      }),
      z.strictObject({ ...message.shape, id: z.string() }),
      z.strictObject({ ...call.shape, id: z.string() }),
      z.strictObject({
        id: z.string(),
        type: z.literal('function_call_output'),
        status,
        call_id: z.string(),
        output: z.union([z.string(), z.array(inputPart)])
      })
    ])
  ),
  first_id: z.string(),
  last_id: z.string(),
  has_more: z.boolean()
})

export const responseDeleted = z.strictObject({
  id: responseId,
  object: z.literal('response'),
  deleted: z.literal(true)
})

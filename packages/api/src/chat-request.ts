import type { ChatRequest } from '@kwaai/interface'
import { z } from 'zod'
import { invalid, unsupported } from './refusals.ts'
import { incomingMessage, toChatMessages, unknownMessageFields } from './messages.ts'

// Ranges from OpenAI's published description (CreateChatCompletionRequest 2.3.0); top_k, min_p and
// repetition_penalty as llama.cpp's and vLLM's servers take them.
const tokenCount = z.number().int().min(1)
const schema = z.object({
  model: z.string(),
  messages: z.array(incomingMessage).min(1),
  max_tokens: tokenCount.optional(),
  max_completion_tokens: tokenCount.optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.number().int().min(-1).optional(),
  min_p: z.number().min(0).max(1).optional(),
  repetition_penalty: z.number().positive().max(10).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1)).max(4)], {
      error: 'expected a string or an array of at most four strings, none of them empty'
    })
    .optional(),
  seed: z
    .number()
    .min(-(2 ** 63))
    .max(2 ** 63)
    .refine(Number.isInteger, { error: 'expected an integer' })
    .optional(),
  stream: z.boolean().optional(),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .optional(),
  n: z.number().int().min(1).max(128).optional(),
  // Without effect on the answer, so there is nothing to refuse.
  user: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  safety_identifier: z.string().optional(),
  prompt_cache_key: z.string().optional(),
  prompt_cache_retention: z.string().optional(),
  prompt_cache_options: z.record(z.string(), z.unknown()).optional(),
  parallel_tool_calls: z.boolean().optional()
})

const is =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value)
const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0

/** Fields of OpenAI (and our own `kwaai`) that are known, not honoured, and refused unless they ask for nothing. */
const notHonoured: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: is(1),
  logprobs: is(false),
  top_logprobs: is(0),
  logit_bias: isEmpty,
  response_format: (value) =>
    typeof value === 'object' && value !== null && 'type' in value && value.type === 'text',
  tools: isEmpty,
  tool_choice: is('none', 'auto'),
  functions: isEmpty,
  function_call: is('none', 'auto'),
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  audio: () => false,
  prediction: () => false,
  web_search_options: () => false,
  moderation: () => false,
  reasoning_effort: is('none'),
  verbosity: is('medium'),
  service_tier: is('auto', 'default'),
  store: is(false),
  kwaai: isEmpty
}

const knownFields = new Set([...Object.keys(schema.shape), ...Object.keys(notHonoured)])

/** A validated request. */
export interface ParsedChatRequest {
  model: string
  request: ChatRequest
  stream: boolean
  includeUsage: boolean
  /** Fields nobody here knows. */
  ignored: readonly string[]
}

/**
 * Validates the body of `POST /v1/chat/completions`. A null field counts as absent, as with OpenAI.
 * @throws A `RequestRefused` with 400 that names the parameter.
 */
export function parseChatRequest(body: Readonly<Record<string, unknown>>): ParsedChatRequest {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  const result = schema.safeParse(given)
  if (!result.success) throw refusalOfIssue(result.error.issues[0], given)
  const fields = result.data
  for (const [name, asksForNothing] of Object.entries(notHonoured))
    if (Object.hasOwn(given, name) && !asksForNothing(given[name])) throw unsupported(name)

  if (fields.stream_options !== undefined && fields.stream !== true)
    throw invalid(`'stream_options' is allowed only with 'stream': true`, 'stream_options')
  if (fields.stream_options?.include_obfuscation === true)
    throw unsupported('stream_options.include_obfuscation')
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens
  if (fields.max_tokens !== undefined && fields.max_tokens !== maxTokens)
    throw invalid(`'max_tokens' and 'max_completion_tokens' contradict each other`, 'max_tokens')

  const request: ChatRequest = { messages: toChatMessages(fields.messages) }
  if (maxTokens !== undefined) request.maxTokens = maxTokens
  if (fields.temperature !== undefined) request.temperature = fields.temperature
  if (fields.top_p !== undefined) request.topP = fields.top_p
  // vLLM's -1 means all, for which the contract has 0.
  if (fields.top_k !== undefined) request.topK = Math.max(0, fields.top_k)
  if (fields.min_p !== undefined) request.minP = fields.min_p
  if (fields.repetition_penalty !== undefined) request.repetitionPenalty = fields.repetition_penalty
  if (fields.frequency_penalty !== undefined) request.frequencyPenalty = fields.frequency_penalty
  if (fields.presence_penalty !== undefined) request.presencePenalty = fields.presence_penalty
  if (fields.seed !== undefined) request.seed = fields.seed
  if (fields.stop !== undefined && fields.stop.length > 0)
    request.stop = typeof fields.stop === 'string' ? [fields.stop] : fields.stop

  return {
    model: fields.model,
    request,
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
    ignored: [
      ...Object.keys(given).filter((name) => !knownFields.has(name)),
      ...unknownMessageFields(given['messages'])
    ]
  }
}

type Issue = z.core.$ZodIssue

function refusalOfIssue(first: Issue | undefined, given: unknown): Error {
  if (first === undefined) return invalid('The body is invalid')
  const { path, message: text } = deepest(first)
  const param = pathName(path)
  if (valueAt(given, path) === undefined)
    return invalid(`'${param}' is required`, param, 'missing_required_parameter')
  const code = deepest(first).code === 'invalid_type' ? 'invalid_type' : 'invalid_value'
  return invalid(`'${param}' is invalid: ${text}`, param, code)
}

/** Of a union's complaints the one that got furthest into the value says most. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue
  let best: Issue | undefined
  for (const [first] of issue.errors) {
    if (first === undefined || first.path.length === 0) continue
    const candidate = deepest({ ...first, path: [...issue.path, ...first.path] })
    if (best === undefined || candidate.path.length > best.path.length) best = candidate
  }
  return best ?? issue
}

function pathName(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('')
    .slice(0, 200)
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

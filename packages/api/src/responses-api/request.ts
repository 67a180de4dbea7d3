import type { ChatRequest, TextConstraint, ToolDefinition } from '@kwaai/interface'
import * as z from 'zod'
import { MAX_TOOLS } from '../constants.ts'
import { kwaaiField, toRoute } from '../generation-options.ts'
import {
  entryByEntry,
  is,
  isEmpty,
  never,
  createFieldParser,
  servedAs,
  type NotHonoured
} from '../parsing.ts'
import { invalid, unsupported } from '../refusals.ts'
import { functionName } from '../tools.ts'
import { inputField } from './input-items.ts'
import type { FunctionToolObject, ResponseSettings, TextFormatObject, ToolChoiceObject } from './objects.ts'

// Ranges from OpenAI's published description (CreateResponse, 2.3.0), but for the least `max_output_tokens`, which
// is 16 there and 1 here.
const jsonSchema = z.record(z.string(), z.unknown())
const functionTool = z.object({
  type: z.literal('function'),
  name: functionName,
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish()
})
// The tools of OpenAI's own service are known, and refused by name.
const tool = servedAs(z.looseObject({ type: z.string() }), functionTool)
const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.object({ type: z.literal('function'), name: functionName }),
    z.object({
      type: z.literal('allowed_tools'),
      mode: z.enum(['auto', 'required']),
      tools: z.array(z.object({ type: z.literal('function'), name: functionName })).max(MAX_TOOLS)
    })
  ],
  { error: `expected 'none', 'auto', 'required', or an object that names functions` }
)
const format = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    name: functionName,
    description: z.string().nullish(),
    schema: jsonSchema,
    strict: z.boolean().nullish()
  })
])
const included = z.enum([
  'message.output_text.logprobs',
  // What belongs to things that no answer here contains; there is nothing to leave out.
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs'
])

const schema = z.object({
  model: z.string(),
  input: inputField,
  instructions: z.string().optional(),
  previous_response_id: z.string().max(128).optional(),
  store: z.boolean().optional(),
  stream: z.boolean().optional(),
  stream_options: z.object({ include_obfuscation: z.boolean().nullish() }).optional(),
  max_output_tokens: z.number().int().min(1).optional(),
  // It counts calls of built-in tools, of which there are none.
  max_tool_calls: z.number().int().optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  tools: z.array(tool).max(MAX_TOOLS).optional(),
  tool_choice: toolChoice.optional(),
  parallel_tool_calls: z.boolean().optional(),
  text: z
    .object({
      format: format.nullish(),
      verbosity: servedAs(z.string().nullable(), { enum: ['medium', null] }).optional()
    })
    .optional(),
  top_logprobs: z.number().int().min(0).max(20).optional(),
  include: z.array(included).max(20).optional(),
  metadata: entryByEntry(
    z
      .record(z.string().max(64), z.string().max(512))
      .refine((pairs) => Object.keys(pairs).length <= 16, { error: 'expected at most 16 pairs' })
      .meta({ maxProperties: 16 })
  ).optional(),
  kwaai: kwaaiField.optional(),
  // Without effect on the answer, so there is nothing to refuse.
  user: z.string().max(512).optional(),
  safety_identifier: z.string().max(64).optional(),
  prompt_cache_key: z.string().max(512).optional(),
  prompt_cache_retention: z.string().optional(),
  prompt_cache_options: z.record(z.string(), z.unknown()).optional()
})
type Fields = z.infer<typeof schema>

/** Checks the body of `POST /v1/responses`; its items and tools are checked one by one besides. */
export const responseRequestSchema: z.ZodType = schema

/** Fields of OpenAI that are known, not honoured, and refused unless they ask for nothing. */
export const responseNotHonoured: NotHonoured = {
  background: is(false),
  conversation: never,
  prompt: never,
  context_management: isEmpty,
  moderation: never,
  // Of each other member nothing but null asks for nothing.
  reasoning: z.object({ effort: is('none').nullish() }).catchall(z.null()),
  service_tier: is('auto', 'default'),
  truncation: is('disabled')
}

/** A validated request, its items still to be read. */
export interface ParsedResponseRequest {
  model: string
  input: string | Record<string, unknown>[]
  /** What the model is asked, but for the messages. */
  options: Omit<ChatRequest, 'messages'>
  /** What the response shows of it. `store` is what the request asks for. */
  settings: ResponseSettings
  /** Whether the request itself asks for the answer to be kept. */
  storeAsked: boolean
  stream: boolean
  /** Fields nobody here knows. */
  ignored: readonly string[]
}

const parseBody = createFieldParser(schema, responseNotHonoured)

/**
 * Validates the body of `POST /v1/responses`. A null field counts as absent, as with OpenAI.
 * @throws A `RequestRefused` with 400 that names the parameter.
 */
export function parseResponseRequest(body: Readonly<Record<string, unknown>>): ParsedResponseRequest {
  const { fields, ignored } = parseBody(body)
  if (fields.stream_options !== undefined && fields.stream !== true)
    throw invalid(`'stream_options' is allowed only with 'stream': true`, 'stream_options')
  if (fields.stream_options?.include_obfuscation === true)
    throw unsupported('stream_options.include_obfuscation')
  if (fields.text?.verbosity != null && fields.text.verbosity !== 'medium')
    throw unsupported('text.verbosity')

  const tools = toTools(fields.tools ?? [])
  const choice = fields.tool_choice ?? 'auto'
  const textFormat = toFormat(fields.text?.format ?? { type: 'text' })
  const options: Omit<ChatRequest, 'messages'> = { ...toToolOptions(tools, choice, fields) }
  if (fields.max_output_tokens !== undefined) options.maxTokens = fields.max_output_tokens
  if (fields.temperature !== undefined) options.temperature = fields.temperature
  if (fields.top_p !== undefined) options.topP = fields.top_p
  const constraint = toConstraint(textFormat)
  if (constraint !== undefined) options.constraint = constraint
  const top = fields.top_logprobs ?? 0
  if (top > 0 || fields.include?.includes('message.output_text.logprobs') === true) options.logprobs = { top }
  const route = toRoute(fields.kwaai ?? {})
  if (route !== undefined) options.route = route

  const settings: ResponseSettings = {
    background: false,
    instructions: fields.instructions ?? null,
    max_output_tokens: fields.max_output_tokens ?? null,
    max_tool_calls: fields.max_tool_calls ?? null,
    metadata: fields.metadata ?? {},
    parallel_tool_calls: fields.parallel_tool_calls ?? true,
    previous_response_id: fields.previous_response_id ?? null,
    prompt_cache_key: fields.prompt_cache_key ?? null,
    reasoning: { effort: null, summary: null },
    safety_identifier: fields.safety_identifier ?? null,
    service_tier: 'default',
    store: fields.store ?? true,
    temperature: fields.temperature ?? 1,
    text: { format: textFormat, verbosity: 'medium' },
    tool_choice: choice,
    tools,
    top_logprobs: top,
    top_p: fields.top_p ?? 1,
    truncation: 'disabled',
    ...(fields.user !== undefined && { user: fields.user })
  }
  return {
    model: fields.model,
    input: fields.input,
    options,
    settings,
    storeAsked: fields.store === true,
    stream: fields.stream ?? false,
    ignored
  }
}

function toTools(given: readonly Record<string, unknown>[]): FunctionToolObject[] {
  const names = new Set<string>()
  return given.map((entry, index) => {
    const at = `tools[${index}]`
    if (entry['type'] !== 'function')
      throw unsupported(
        `${at}.type`,
        `: '${String(entry['type']).slice(0, 50)}' is built into OpenAI's own service; describe a function instead`
      )
    const result = functionTool.safeParse(entry)
    if (!result.success) {
      const [issue] = result.error.issues
      const name = `${at}.${issue?.path.map(String).join('.') ?? ''}`
      throw invalid(`'${name}' is invalid: ${issue?.message ?? ''}`, name)
    }
    const { name, description, parameters, strict } = result.data
    for (const field of ['output_schema', 'defer_loading', 'allowed_callers'])
      if (entry[field] != null && entry[field] !== false) throw unsupported(`${at}.${field}`)
    if (names.has(name)) throw invalid(`'${at}.name' is the name of an earlier tool too`, `${at}.name`)
    names.add(name)
    return {
      type: 'function',
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? false
    }
  })
}

function toToolOptions(
  tools: readonly FunctionToolObject[],
  choice: ToolChoiceObject,
  fields: Fields
): Pick<ChatRequest, 'tools' | 'toolChoice' | 'parallelToolCalls'> {
  const known = new Set(tools.map(({ name }) => name))
  const need = (name: string): string => {
    if (known.has(name)) return name
    throw invalid(`'tool_choice' names the function '${name}', which is not among 'tools'`, 'tool_choice')
  }
  if (tools.length === 0) {
    if (choice === 'auto' || choice === 'none') return {}
    throw invalid(`'tool_choice' asks for functions, and 'tools' has none`, 'tool_choice')
  }
  const parallel =
    fields.parallel_tool_calls === undefined ? {} : { parallelToolCalls: fields.parallel_tool_calls }
  const all = { tools: tools.map(toDefinition), ...parallel }
  if (typeof choice === 'string') return { ...all, toolChoice: choice }
  if (choice.type === 'function') return { ...all, toolChoice: { name: need(choice.name) } }
  const allowed = new Set(choice.tools.map(({ name }) => need(name)))
  if (allowed.size === 0) throw invalid(`'tool_choice.tools' is empty`, 'tool_choice.tools')
  return {
    tools: tools.filter(({ name }) => allowed.has(name)).map(toDefinition),
    toolChoice: choice.mode,
    ...parallel
  }
}

function toDefinition({ name, description, parameters, strict }: FunctionToolObject): ToolDefinition {
  return {
    name,
    ...(description !== null && { description }),
    ...(parameters !== null && { parameters }),
    strict
  }
}

function toFormat(given: z.infer<typeof format>): TextFormatObject {
  if (given.type !== 'json_schema') return { type: given.type }
  return {
    type: 'json_schema',
    name: given.name,
    ...(given.description != null && { description: given.description }),
    schema: given.schema,
    strict: given.strict ?? false
  }
}

function toConstraint(given: TextFormatObject): TextConstraint | undefined {
  if (given.type === 'json_object') return { type: 'json' }
  if (given.type === 'json_schema') return { type: 'json-schema', schema: given.schema, strict: given.strict }
  return undefined
}

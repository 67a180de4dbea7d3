import type { ChatRequest } from '@kwaai/interface'
import * as z from 'zod'
import {
  generationFields,
  includesUsage,
  type GenerationFields,
  toGenerationOptions
} from './generation-options.ts'
import { incomingMessage, toChatMessages, type IncomingMessage } from './messages.ts'
import { is, isEmpty, never, createFieldParser, type NotHonoured } from './parsing.ts'
import { invalid, type RequestWords } from './refusals.ts'
import { responseFormatField, toConstraint, type ResponseFormat } from './response-format.ts'
import { toolAtFault, toolChoiceField, toolsField, toToolOptions, type ToolFields } from './tools.ts'

const tokenCount = z.number().int().min(1)

/** The body of `POST /v1/chat/completions`: what is honoured of it. */
export interface ChatFields extends GenerationFields, ToolFields {
  model: string
  messages: IncomingMessage[]
  max_tokens?: number | undefined
  max_completion_tokens?: number | undefined
  logprobs?: boolean | undefined
  top_logprobs?: number | undefined
  response_format?: ResponseFormat | undefined
}

/** Checks {@link ChatFields}. */
export const chatRequestSchema: z.ZodType<ChatFields> = z.object({
  model: z.string(),
  messages: z.array(incomingMessage).min(1),
  ...generationFields,
  max_tokens: tokenCount.optional(),
  max_completion_tokens: tokenCount.optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.number().int().min(0).max(20).optional(),
  response_format: responseFormatField.optional(),
  tools: toolsField.optional(),
  tool_choice: toolChoiceField.optional(),
  parallel_tool_calls: z.boolean().optional(),
  // Without effect on the answer, so there is nothing to refuse.
  metadata: z.record(z.string(), z.unknown()).optional(),
  safety_identifier: z.string().optional(),
  prompt_cache_key: z.string().optional(),
  prompt_cache_retention: z.string().optional(),
  prompt_cache_options: z.record(z.string(), z.unknown()).optional()
})

/** Fields of OpenAI that are known, not honoured, and refused unless they ask for nothing. */
export const chatNotHonoured: NotHonoured = {
  functions: isEmpty,
  function_call: is('none', 'auto'),
  modalities: z.array(z.literal('text')).length(1),
  audio: never,
  prediction: never,
  web_search_options: never,
  moderation: never,
  reasoning_effort: is('none'),
  verbosity: is('medium'),
  service_tier: is('auto', 'default'),
  store: is(false)
}

const parseBody = createFieldParser(chatRequestSchema, chatNotHonoured)

/** A validated request. */
export interface ParsedChatRequest {
  model: string
  request: ChatRequest
  stream: boolean
  includeUsage: boolean
  words: RequestWords
  /** Fields nobody here knows. */
  ignored: readonly string[]
}

/**
 * Validates the body of `POST /v1/chat/completions`. A null field counts as absent, as with OpenAI.
 * @throws A `RequestRefused` with 400 that names the parameter.
 */
export function parseChatRequest(body: Readonly<Record<string, unknown>>): ParsedChatRequest {
  const { fields, ignored } = parseBody(body)
  const includeUsage = includesUsage(fields)
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens
  if (fields.max_tokens !== undefined && fields.max_tokens !== maxTokens)
    throw invalid(`'max_tokens' and 'max_completion_tokens' contradict each other`, 'max_tokens')
  const top = fields.top_logprobs ?? 0
  if (top > 0 && fields.logprobs !== true)
    throw invalid(`'top_logprobs' is allowed only with 'logprobs': true`, 'top_logprobs')

  const request: ChatRequest = {
    messages: toChatMessages(fields.messages),
    ...toGenerationOptions(fields),
    ...toToolOptions(fields)
  }
  if (maxTokens !== undefined) request.maxTokens = maxTokens
  if (fields.logprobs === true) request.logprobs = { top }
  const constraint = toConstraint(fields.response_format)
  if (constraint !== undefined) request.constraint = constraint

  return {
    model: fields.model,
    request,
    stream: fields.stream ?? false,
    includeUsage,
    words: wordsOf(fields, request),
    ignored
  }
}

/** Where in the body stands what a model's error is about. */
function wordsOf(fields: ChatFields, request: ChatRequest): RequestWords {
  return {
    text: 'messages',
    param(option, details) {
      if (option === 'maxTokens' && fields.max_completion_tokens !== undefined) return 'max_completion_tokens'
      if (option === 'constraint')
        return request.constraint?.type === 'json' ? 'response_format' : 'response_format.json_schema.schema'
      if (option === 'tools') {
        const name = toolAtFault(request.tools ?? [], details)?.name
        const index = (fields.tools ?? []).findIndex(
          (given) => given.type === 'function' && given.function.name === name
        )
        return index < 0 ? undefined : `tools[${index}].function.parameters`
      }
      return routeParam(option)
    }
  }
}

/** The place of a constraint on who computes. */
export function routeParam(option: string): string | undefined {
  if (option === 'route') return 'kwaai'
  const names = ['minTier', 'minScore', 'maxLatencyMs', 'region', 'maxPrice']
  return names.includes(option) ? `kwaai.${option}` : undefined
}

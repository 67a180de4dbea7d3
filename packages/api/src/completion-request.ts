import type { CompletionRequest, GenerationOptions } from '@kwaai/interface'
import * as z from 'zod'
import { routeParam } from './chat-request.ts'
import { DEFAULT_COMPLETION_TOKENS, MAX_CHOICES } from './constants.ts'
import {
  generationFields,
  includesUsage,
  toGenerationOptions,
  type GenerationFields
} from './generation-options.ts'
import { is, createFieldParser, type NotHonoured } from './parsing.ts'
import { invalid, unsupported, type RequestWords } from './refusals.ts'

const tokens = z.array(z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)).min(1)

/** Texts or tokens, one or several. */
export type TextOrTokens = string | string[] | number[] | number[][]

/** Checks {@link TextOrTokens}; at most `max` texts. */
export function textOrTokens(max: number, text: z.ZodType<string>): z.ZodType<TextOrTokens> {
  return z.union([text, z.array(text).min(1).max(max), tokens, z.array(tokens).min(1).max(max)], {
    error: `expected a string, an array of tokens, or an array of at most ${max} of either, none of them empty`
  })
}

/** Each of the texts by itself. */
export function each(given: TextOrTokens): readonly (string | readonly number[])[] {
  if (typeof given === 'string') return [given]
  const texts: readonly (string | number | number[])[] = given
  const many = texts.filter((one) => typeof one !== 'number')
  return many.length > 0 ? many : [texts.filter((one) => typeof one === 'number')]
}

/** The body of `POST /v1/completions`: what is honoured of it. */
export interface CompletionFields extends GenerationFields {
  model: string
  prompt: TextOrTokens
  max_tokens?: number | undefined
  logprobs?: number | undefined
  echo?: boolean | undefined
  best_of?: number | undefined
}

/** Checks {@link CompletionFields}. */
export const completionRequestSchema: z.ZodType<CompletionFields> = z.object({
  model: z.string(),
  prompt: textOrTokens(MAX_CHOICES, z.string()),
  ...generationFields,
  max_tokens: z.number().int().min(0).optional(),
  logprobs: z.number().int().min(0).max(5).optional(),
  echo: z.boolean().optional(),
  best_of: z.number().int().min(0).max(20).optional()
})

/** Fields of OpenAI that are known, not honoured, and refused unless they ask for nothing. */
export const completionNotHonoured: NotHonoured = { suffix: is('') }

const parseBody = createFieldParser(completionRequestSchema, completionNotHonoured)

/** A validated request. */
export interface ParsedCompletionRequest {
  model: string
  /** One a prompt; the choices of each follow one another. */
  requests: readonly CompletionRequest[]
  /** Choices of each prompt. */
  n: number
  /** The text each prompt's choices begin with; empty where it is not asked for. */
  echoes: readonly string[]
  stream: boolean
  includeUsage: boolean
  words: RequestWords
  /** Fields nobody here knows. */
  ignored: readonly string[]
}

/**
 * Validates the body of `POST /v1/completions`. A null field counts as absent, as with OpenAI.
 * @throws A `RequestRefused` with 400 that names the parameter.
 */
export function parseCompletionRequest(body: Readonly<Record<string, unknown>>): ParsedCompletionRequest {
  const { fields, ignored } = parseBody(body)
  const includeUsage = includesUsage(fields)
  const { n = 1, best_of: bestOf, logprobs, echo = false } = fields
  if (bestOf !== undefined && bestOf !== n) throw unsupported('best_of', `: it has to be equal to 'n'`)
  const prompts = each(fields.prompt)
  if (prompts.length * n > MAX_CHOICES)
    throw invalid(`The prompts ask for more than ${MAX_CHOICES} choices all together`, 'prompt')
  // The model tells no probabilities of the prompt, and no texts of its tokens.
  if (echo && logprobs !== undefined) throw unsupported('echo', ` together with 'logprobs'`)
  const echoes = prompts.map((prompt) => {
    if (!echo) return ''
    if (typeof prompt !== 'string') throw unsupported('echo', ': the prompt is tokens')
    return prompt
  })

  const options: GenerationOptions = {
    ...toGenerationOptions(fields),
    maxTokens: fields.max_tokens ?? DEFAULT_COMPLETION_TOKENS
  }
  if (logprobs !== undefined) options.logprobs = { top: logprobs }
  return {
    model: fields.model,
    requests: prompts.map((prompt) => ({ ...options, prompt })),
    n,
    echoes,
    stream: fields.stream ?? false,
    includeUsage,
    words: { text: 'prompt', param: routeParam },
    ignored
  }
}

import type { EmbedderDescription, FinishReason, ModelDescription, Usage } from '@kwaai/interface'

/** One entry of `GET /v1/models`. */
export interface ModelObject {
  id: string
  object: 'model'
  created: number
  owned_by: string
  /** Longest prompt and answer together, in tokens (our addition). */
  context_length: number
  /** False while nobody can serve it (our addition). */
  ready: boolean
  /** Where it is split over servers: how many hold each range of blocks, `to` being one past the last (our addition). */
  coverage?: { from: number; to: number; servers: number }[]
}

/** One entry of `GET /v1/models` that makes embeddings. */
export interface EmbedderObject {
  id: string
  object: 'model'
  created: number
  owned_by: string
  /** Tokens of an input at most (our addition). */
  context_length: number
  /** Numbers of a vector (our addition). */
  dimensions: number
}

/** True token counts in OpenAI's form. */
export interface UsageObject {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details: { cached_tokens: number }
}

/** What all chunks of an answer, and an answer in one piece, have in common. */
export interface AnswerHead {
  /** `chatcmpl-…` */
  id: string
  /** Seconds since 1970 UTC. */
  created: number
  model: string
}

/** One token in a place of an answer. */
export interface TokenProbabilityObject {
  /** Its text; bytes that make no whole character are written `\\xhh`. */
  token: string
  /** Natural logarithm; -9999 stands for less. */
  logprob: number
  bytes: number[]
}

/** The token that was taken, and the likeliest in its place. */
export interface TokenLogprobObject extends TokenProbabilityObject {
  top_logprobs: TokenProbabilityObject[]
}

/** The probabilities of a choice or a piece of it. */
export interface ChatLogprobs {
  content: TokenLogprobObject[]
  refusal: null
}

/** A function the model calls. */
export interface ToolCallObject {
  id: string
  type: 'function'
  /** `arguments` is JSON text. */
  function: { name: string; arguments: string }
}

/** A piece of a call; the first has its `id`, `type` and name. */
export interface ToolCallDelta {
  index: number
  id?: string
  type?: 'function'
  function: { name?: string; arguments: string }
}

/** The answer of `POST /v1/chat/completions` in one piece. */
export interface ChatCompletion extends AnswerHead {
  object: 'chat.completion'
  /** Changes when other arithmetic answers: the model or a numerics class of the chain. */
  system_fingerprint: string
  choices: {
    index: number
    message: {
      role: 'assistant'
      /** Null where it calls functions and says nothing. */
      content: string | null
      refusal: null
      annotations: []
      tool_calls?: ToolCallObject[]
    }
    /** Null unless asked for. */
    logprobs: ChatLogprobs | null
    finish_reason: FinishReason
  }[]
  usage: UsageObject
}

/** One piece of a streamed answer. */
export interface ChatCompletionChunk extends AnswerHead {
  object: 'chat.completion.chunk'
  system_fingerprint: string
  choices: {
    index: number
    delta: { role?: 'assistant'; content?: string; refusal?: null; tool_calls?: ToolCallDelta[] }
    logprobs: ChatLogprobs | null
    finish_reason: FinishReason | null
  }[]
  /** Absent unless the client asked for it; null in all chunks but the last. */
  usage?: UsageObject | null
}

/** Probabilities in the form of `/v1/completions`, entry `i` of each list for token `i`. */
export interface CompletionLogprobs {
  /** Their texts; bytes that make no whole character are written `bytes:\\xhh`. */
  tokens: string[]
  token_logprobs: number[]
  /** The likeliest, and the one that was taken, by text. */
  top_logprobs: Record<string, number>[]
  /** Where each begins in the text of the choice, in characters (Unicode code points). */
  text_offset: number[]
}

/** The answer of `POST /v1/completions`, and with `usage` as asked for each piece of it. */
export interface Completion extends AnswerHead {
  object: 'text_completion'
  system_fingerprint: string
  choices: {
    index: number
    text: string
    logprobs: CompletionLogprobs | null
    /** Null while it goes on. */
    finish_reason: FinishReason | null
  }[]
  usage?: UsageObject | null
}

/** The answer of `POST /v1/embeddings`. */
export interface EmbeddingList {
  object: 'list'
  model: string
  /** One an input, in their order: numbers, or as asked base64 of little-endian f32. */
  data: { object: 'embedding'; index: number; embedding: number[] | string }[]
  usage: { prompt_tokens: number; total_tokens: number }
}

/** A model as OpenAI lists it. */
export function modelObject(description: ModelDescription): ModelObject {
  return {
    id: description.id,
    object: 'model',
    created: description.created,
    owned_by: description.ownedBy,
    context_length: description.contextLength,
    ready: description.ready,
    ...(description.coverage !== undefined && {
      coverage: description.coverage.map(({ from, to, servers }) => ({ from, to, servers }))
    })
  }
}

/** An embedder as OpenAI lists models. */
export function embedderObject(description: EmbedderDescription): EmbedderObject {
  return {
    id: description.id,
    object: 'model',
    created: description.created,
    owned_by: description.ownedBy,
    context_length: description.maxTokens,
    dimensions: description.dimensions
  }
}

/** Token counts as OpenAI gives them. */
export function usageObject(usage: Usage): UsageObject {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens }
  }
}

/** A short name for the arithmetic that answers: FNV-1a (draft-eastlake-fnv) of the model and its classes. */
export function fingerprint(model: string, numericsClasses: readonly string[]): string {
  const classes = numericsClasses.length > 1 ? [...new Set(numericsClasses.toSorted())] : numericsClasses
  const text = [model, ...classes].join('\n')
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return `fp_${(hash >>> 0).toString(16).padStart(8, '0')}`
}

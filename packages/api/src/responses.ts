import type { FinishReason, ModelDescription, Usage } from '@kwaai/interface'

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

/** The answer of `POST /v1/chat/completions` in one piece. */
export interface ChatCompletion extends AnswerHead {
  object: 'chat.completion'
  /** Changes when other arithmetic answers: the model or a numerics class of the chain. */
  system_fingerprint: string
  choices: {
    index: number
    message: { role: 'assistant'; content: string; refusal: null; annotations: [] }
    logprobs: null
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
    delta: { role?: 'assistant'; content?: string; refusal?: null }
    logprobs: null
    finish_reason: FinishReason | null
  }[]
  /** Absent unless the client asked for it; null in all chunks but the last. */
  usage?: UsageObject | null
}

/** A model as OpenAI lists it. */
export function modelObject(description: ModelDescription): ModelObject {
  return {
    id: description.id,
    object: 'model',
    created: description.created,
    owned_by: description.ownedBy,
    context_length: description.contextLength,
    ready: description.ready
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
  const text = [model, ...new Set(numericsClasses.toSorted())].join('\n')
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return `fp_${(hash >>> 0).toString(16).padStart(8, '0')}`
}

import type { CallOptions, PeerId } from './common.ts'
import type { TrustTier } from './trust.ts'

/** One turn of a conversation. */
export interface ChatMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool'
  content: string
  /** For a `tool` turn: the call it answers. */
  toolCallId?: string
  /**
   * For an `assistant` turn: the functions it called, `arguments` being JSON text. A model that cannot show
   * them to itself refuses the request with `ERR_MODEL_UNSUPPORTED` (`details.param`: `tool_calls`).
   */
  toolCalls?: readonly { id: string; name: string; arguments: string }[]
}

/**
 * Who may compute an answer. Each constraint is hard: the answer comes from servers that all meet all of them,
 * or an error says of each server why it fell.
 */
export interface RouteConstraints {
  /** The tier each server has to have at least. */
  minTier?: TrustTier
  /** What each server's `lowerBound` has to be at least, 0 to 1. */
  minScore?: number
  /** Milliseconds a token may be expected to take through all servers together. */
  maxLatencyMs?: number
  /** Milliseconds the round trip to each server may take. */
  maxRttMs?: number
  /** Where each server has to stand, in the words adverts use, such as `eu`; of several, in one of them. */
  region?: string | readonly string[]
  /** Credits a token may cost at all servers together. */
  maxPrice?: number
  /** The class each server has to compute in. */
  numericsClass?: string
  /** Nobody but these. */
  allowPeers?: readonly PeerId[]
  /** None of these. */
  denyPeers?: readonly PeerId[]
  /**
   * Constraints that may be given up where nobody meets them all, the first one first, one after the other until
   * there are servers; each is given up whole. Default: none. What was given up is told with the answer. Denied
   * peers are never let in.
   */
  relax?: readonly Exclude<RouteConstraintName, 'denyPeers'>[]
}

/** The name of a constraint. */
export type RouteConstraintName = Exclude<keyof RouteConstraints, 'relax'>

/** How text is to be generated. What a model does not support it refuses by name, it never ignores. */
export interface GenerationOptions {
  /** Tokens to generate at most. Default: what the context leaves. */
  maxTokens?: number
  /** 0 is greedy. Default 1. */
  temperature?: number
  /** Keep the smallest set of tokens whose probabilities reach this sum. Default 1. */
  topP?: number
  /** Keep the k likeliest tokens; 0 keeps all. Default 0. */
  topK?: number
  /** Drop tokens below this fraction of the likeliest one's probability. Default 0. */
  minP?: number
  /** Divide positive and multiply negative logits of tokens seen. Default 1. */
  repetitionPenalty?: number
  /** Subtracted a time a token was generated. Default 0. */
  frequencyPenalty?: number
  /** Subtracted once from tokens generated. Default 0. */
  presencePenalty?: number
  /** Makes sampling repeatable. */
  seed?: number
  /** Texts that end the generation and never show. At most four. */
  stop?: readonly string[]
  /** Added to the logits of single tokens. */
  logitBias?: Readonly<Record<number, number>>
  /** Ask for the logarithms of the likeliest tokens' probabilities. */
  logprobs?: { top: number }
  /** How many answers. Default 1. */
  n?: number
  /** Grammar or schema the text has to follow. */
  constraint?: { type: 'json' } | { type: 'json-schema'; schema: unknown } | { type: 'grammar'; text: string }
  /**
   * Who asks: a name that means one user to whoever hands it over, such as the hash of an API key, never the
   * key. Work kept from one request (a cached prefix) serves requests of the same caller alone, for the time
   * to the first token tells whether a prefix was asked before. Default: nobody; nothing is kept, nothing reused.
   */
  caller?: string
  /** Who may compute it. Default: everybody. A model that does not choose its servers refuses this. */
  route?: RouteConstraints
}

/** A chat to continue. */
export interface ChatRequest extends GenerationOptions {
  messages: readonly ChatMessage[]
  /** Functions the model may call. */
  tools?: readonly { name: string; description?: string; parameters: unknown }[]
}

/** A text to continue. */
export interface CompletionRequest extends GenerationOptions {
  prompt: string
}

/** Why a generation ended. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

/** True token counts. */
export interface Usage {
  promptTokens: number
  completionTokens: number
  /** Prompt tokens that needed no computing. */
  cachedTokens: number
}

/** Who computed which blocks. */
export interface ChainHop {
  peer: string
  /** First block. */
  from: number
  /** One past the last block. */
  to: number
  numericsClass: string
}

/** What a generation tells while it runs, in this order: start, text …, finish, usage. */
export type GenerationEvent =
  | {
      type: 'start'
      promptTokens: number
      chain: readonly ChainHop[]
      /** The constraints of the request's `route` that were given up, as its `relax` allows. */
      relaxed?: readonly RouteConstraintName[]
    }
  | {
      type: 'text'
      /** Which of `n` answers. */
      index: number
      /** Whole characters; may be empty. */
      text: string
      /** Tokens that became known with this event. */
      tokens: readonly number[]
    }
  | { type: 'finish'; index: number; reason: FinishReason }
  | { type: 'usage'; usage: Usage }

/** What a model says of itself. */
export interface ModelDescription {
  /** The name callers ask for. */
  id: string
  /** Seconds since 1970 UTC. */
  created: number
  ownedBy: string
  /** Longest prompt and answer together, in tokens. */
  contextLength: number
  /** False while no chain can serve it. */
  ready: boolean
}

/**
 * What the API serves: a chain of shards, a local backend or another server, all alike.
 *
 * Errors that every implementation uses, so that a server can map them: `ERR_MODEL_UNAVAILABLE` (nobody can
 * serve now; `details.retryAfterMs`), `ERR_MODEL_CONTEXT_EXCEEDED` (`details.promptTokens`,
 * `details.contextLength`), `ERR_MODEL_UNSUPPORTED` (`details.param`), `ERR_MODEL_INVALID_REQUEST`
 * (`details.param`). Their messages are written for whoever asked.
 */
export interface LanguageModel {
  readonly specification: 'kwaai.language-model/1'
  describe(options?: CallOptions): Promise<ModelDescription>
  chat(request: ChatRequest, options?: CallOptions): AsyncIterable<GenerationEvent>
  complete(request: CompletionRequest, options?: CallOptions): AsyncIterable<GenerationEvent>
  /** @returns one vector a text. */
  embed(
    request: { input: readonly string[] },
    options?: CallOptions
  ): Promise<{ vectors: readonly Float32Array[]; usage: Usage }>
}

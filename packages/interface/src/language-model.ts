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
  /** Ask for the logarithm of each token's probability, and of the `top` likeliest ones' in its place: 0 to 20. */
  logprobs?: { top: number }
  /** How many answers. Default 1. The k-th of a seeded request is sampled with the seed plus k. */
  n?: number
  /** What the text has to follow. With tools it holds for answers that call none. */
  constraint?: TextConstraint
  /**
   * Who asks: a name that means one user to whoever hands it over, such as the hash of an API key, never the
   * key. Work kept from one request (a cached prefix) serves requests of the same caller alone, for the time
   * to the first token tells whether a prefix was asked before. Default: nobody; nothing is kept, nothing reused.
   */
  caller?: string
  /** Who may compute it. Default: everybody. A model that does not choose its servers refuses this. */
  route?: RouteConstraints
}

/**
 * What a text has to follow: any JSON object, a JSON Schema (draft 2020-12), or a grammar in GBNF. A schema is held
 * to whole: a keyword that the model cannot hold a text to is refused by name (`ERR_MODEL_UNSUPPORTED`,
 * `details.keyword`) under `strict`, and without it left to the model.
 */
export type TextConstraint =
  | { type: 'json' }
  | { type: 'json-schema'; schema: unknown; strict?: boolean }
  | { type: 'grammar'; text: string }

/** A function the model may call. */
export interface ToolDefinition {
  /** Up to 64 letters, digits, `_` and `-`. */
  name: string
  description?: string
  /** JSON Schema of its arguments, an object. Calls follow it by construction. Default: no arguments. */
  parameters?: unknown
  /** As {@link TextConstraint} has it. Default false. */
  strict?: boolean
}

/** Whether tools are called: as the model sees fit, never, at least one, or this one. */
export type ToolChoice = 'auto' | 'none' | 'required' | { name: string }

/** A chat to continue. */
export interface ChatRequest extends GenerationOptions {
  messages: readonly ChatMessage[]
  /** Functions the model may call. */
  tools?: readonly ToolDefinition[]
  /** Default `auto`. */
  toolChoice?: ToolChoice
  /** Whether an answer may call several at once. Default true. */
  parallelToolCalls?: boolean
}

/** A text to continue. */
export interface CompletionRequest extends GenerationOptions {
  /** Text, or tokens of the model. */
  prompt: string | readonly number[]
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

/** What a hop did for an answer. */
export interface HopAccount extends ChainHop {
  /** Milliseconds it computed, as it says. */
  computeMs?: number
  /** Milliseconds steps waited for their turn there, as it says. */
  queueMs?: number
  /** Milliseconds of a round trip to it. */
  rttMs?: number
  /** Steps it ran. */
  steps?: number
}

/** A token in the place of another, or the one that was taken. */
export interface TokenProbability {
  token: number
  /** The bytes it stands for: a character may be split over tokens. Of one that is cut, those that show. */
  bytes: Uint8Array
  /** Natural logarithm of its probability in the model's own distribution, before penalties and constraints. */
  logprob: number
}

/** One token of an answer, and the likeliest in its place in falling order. */
export interface TokenLogprobs extends TokenProbability {
  top: readonly TokenProbability[]
}

/**
 * What a generation tells while it runs, in this order: start, text and tool-call …, finish, usage. With several
 * answers their events mix, and each has a finish of its own.
 */
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
      /** Where asked for: the tokens whose text this event shows, all together with exactly its bytes. */
      logprobs?: readonly TokenLogprobs[]
    }
  | {
      /** A piece of a function call. The first of each call has its `id` and `name`. */
      type: 'tool-call'
      index: number
      /** Which call of the answer, from 0 on. */
      call: number
      id?: string
      name?: string
      /** More of its arguments, JSON text when all are joined; may be empty. */
      arguments: string
      tokens: readonly number[]
    }
  | { type: 'finish'; index: number; reason: FinishReason }
  | {
      type: 'usage'
      usage: Usage
      /** Who computed the answer in the end, and what it took; servers may have taken the place of others. */
      hops?: readonly HopAccount[]
    }

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
  /** Where it is split over servers: how many hold each range of blocks, all blocks in order. */
  coverage?: readonly { from: number; to: number; servers: number }[]
}

/** What became of a server that could have computed. */
export interface RouteCandidate {
  peer: string
  from: number
  to: number
  numericsClass: string
  chosen: boolean
  /** Why not, in a sentence. Empty where it was chosen. */
  reason: string
  /** The constraints it does not meet. */
  failed: readonly RouteConstraintName[]
}

/** Who would compute an answer now, and why the others would not. */
export interface RouteExplanation {
  chain: readonly ChainHop[]
  relaxed: readonly RouteConstraintName[]
  /** Why there is no chain. */
  problem?: string
  candidates: readonly RouteCandidate[]
}

/**
 * What the API serves: a chain of shards, a local backend or another server, all alike.
 *
 * Errors that every implementation uses, so that a server can map them: `ERR_MODEL_UNAVAILABLE` (nobody can
 * serve now; `details.retryAfterMs`, and `details.queueFull` where only too many wait),
 * `ERR_MODEL_CONTEXT_EXCEEDED` (`details.promptTokens`, `details.contextLength`), `ERR_MODEL_UNSUPPORTED`
 * (`details.param`), `ERR_MODEL_INVALID_REQUEST` (`details.param`). Their messages are written for whoever asked.
 */
export interface LanguageModel {
  readonly specification: 'kwaai.language-model/1'
  describe(options?: CallOptions): Promise<ModelDescription>
  chat(request: ChatRequest, options?: CallOptions): AsyncIterable<GenerationEvent>
  complete(request: CompletionRequest, options?: CallOptions): AsyncIterable<GenerationEvent>
  /** @returns one vector a text. A model that is no {@link Embedder} too refuses it. */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<Embeddings>
  /** Who would compute an answer under these constraints. Absent where a model does not choose its servers. */
  explain?(route?: RouteConstraints, options?: CallOptions): Promise<RouteExplanation>
}

/** Texts to embed, or their tokens. */
export interface EmbeddingRequest {
  input: readonly (string | readonly number[])[]
}

/** One vector a text, in their order. */
export interface Embeddings {
  vectors: readonly Float32Array[]
  usage: Usage
}

/** What an embedder says of itself. What vectors depend on is part of its `id`: two ids, two indexes. */
export interface EmbedderDescription {
  /** The name callers ask for, with token limit and weight format. */
  id: string
  /** Seconds since 1970 UTC. */
  created: number
  ownedBy: string
  dimensions: number
  /** Tokens of a text at most, those the model adds included. */
  maxTokens: number
}

/**
 * Turns texts into vectors of length 1 whose products tell how near they are. A text alone and in a batch has
 * the same vector. A text over `maxTokens` is `ERR_MODEL_CONTEXT_EXCEEDED` (`details.promptTokens`,
 * `details.contextLength`, `details.index`), never cut; the other errors are those of {@link LanguageModel}.
 */
export interface Embedder {
  readonly specification: 'kwaai.embedder/1'
  describe(options?: CallOptions): Promise<EmbedderDescription>
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<Embeddings>
}

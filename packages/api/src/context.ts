import type { ApiRequest } from './api-request.ts'
import type { Reply } from './replies.ts'
import type { ChainHop, FinishReason, HopAccount, RouteConstraintName, Usage } from '@kwaai/interface'

/** What kind of answer was made. */
export type AnswerKind = 'chat' | 'completion' | 'response' | 'embedding'

/** What an answer came to: for limits, counts, the log, the meter and its provenance. Never a text. */
export interface AnswerOutcome {
  /** The id the client got, such as `chatcmpl-…`. */
  id: string
  kind: AnswerKind
  model: string
  /** Seconds since 1970 UTC. */
  created: number
  stream: boolean
  outcome: 'completed' | 'failed' | 'cancelled'
  finishReason?: FinishReason
  /** The model's own counts; of an answer cut short, the tokens that were made until then. */
  usage?: Usage
  /** Who was asked first, and the constraints that were given up, as the `start` event told. */
  chain?: readonly ChainHop[]
  relaxed?: readonly RouteConstraintName[]
  /** Who computed it in the end, as the `usage` event told. */
  hops?: readonly HopAccount[]
  /** Milliseconds from the request to the first text, and to the end. */
  firstTokenMs?: number
  durationMs: number
  error?: unknown
}

/** A place among the answers under way. */
export interface Admission {
  /**
   * Gives the place back and tells what became of it. A second call does nothing.
   * @returns a receipt for the usage, where a meter hands one over.
   */
  end(outcome: AnswerOutcome): Promise<string | undefined>
  /** Gives the place back where no answer came about: the request was refused. After `end` it does nothing. */
  release(): void
}

/** One request, as its handler sees it. */
export interface RequestContext {
  readonly request: ApiRequest
  readonly requestId: string
  /** The named parts of the address, such as `id`, decoded. */
  readonly params: Readonly<Record<string, string>>
  /** When the request came, in the monotonic milliseconds of the clock. */
  readonly startedAt: number
  /** Who asks: a name that means one user, never a secret. Undefined where nobody is known by name. */
  readonly caller: string | undefined
  /** True where the caller's key covers this model. Without keys always. */
  mayUse(model: string): boolean
  /**
   * Takes a place for an answer.
   * @throws A `RequestRefused` with 429 when all are taken or the key's limits are reached.
   */
  admit(): Admission
}

/** Answers one route. */
export type Handler = (context: RequestContext) => Promise<Reply>

import {
  KwaaiError,
  type ChainHop,
  type Clock,
  type GenerationEvent,
  type HopAccount,
  type RouteConstraintName,
  type Usage
} from '@kwaai/interface'
import type { Admission, AnswerKind, AnswerOutcome } from './context.ts'
import { fingerprint, type AnswerHead } from './responses.ts'

/** What is known of an answer before it begins. */
export interface AnswerInit extends AnswerHead {
  kind: AnswerKind
  stream: boolean
  /** How many choices. */
  n: number
  /** Whether its events may call functions, and several in one choice. */
  tools: 'none' | 'one' | 'many'
  logprobs: boolean
  /** When the request came, in the monotonic milliseconds of the clock. */
  startedAt: number
}

/** One answer from its admission to its end. */
export interface Answer {
  readonly head: AnswerHead
  readonly n: number
  /** True once the model said that it began. */
  readonly started: boolean
  /** Who computes; empty until the model says. */
  readonly chain: readonly ChainHop[]
  /** Changes when other arithmetic answers. */
  fingerprint(): string
  /** Takes notice of an event. @throws `ERR_API_MODEL_MISBEHAVED` for one that the contract does not allow. */
  note(event: GenerationEvent): void
  /** The token counts, after the last event. @throws `ERR_API_MODEL_MISBEHAVED` where a choice has no end. */
  usage(): Usage
  /** Gives its place back and tells what became of it, once. @returns a receipt, where a meter hands one over. */
  end(outcome: AnswerOutcome['outcome'], error?: unknown): Promise<string | undefined>
}

/** Holds a model to its contract, and keeps what is to be told of the answer. Never a text. */
export function createAnswer(init: AnswerInit, admission: Admission, clock: Clock): Answer {
  return new HeldAnswer(init, admission, clock)
}

// A class: a literal with getters would be a kind of object of its own each time, which costs more than all the rest.
class HeldAnswer implements Answer {
  readonly head: AnswerHead
  readonly n: number
  started: boolean = false
  readonly #init: AnswerInit
  readonly #admission: Admission
  readonly #clock: Clock
  /** How each choice ended. */
  readonly #finished: (AnswerOutcome['finishReason'] | undefined)[] = []
  /** Choices that have ended. */
  #ends: number = 0
  /** Calls that each choice began. */
  readonly #calls: number[] = []
  #chain: readonly ChainHop[] = []
  #relaxed: readonly RouteConstraintName[] | undefined
  #usage: Usage | undefined
  /** What is known of the counts while the model has not told them. */
  readonly #counted: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 }
  #hops: readonly HopAccount[] | undefined
  #firstTokenMs: number | undefined

  constructor(init: AnswerInit, admission: Admission, clock: Clock) {
    const { id, created, model, n } = init
    this.head = { id, created, model }
    this.n = n
    this.#init = init
    this.#admission = admission
    this.#clock = clock
  }

  get chain(): readonly ChainHop[] {
    return this.#hops !== undefined && this.#hops.length > 0 ? this.#hops : this.#chain
  }

  fingerprint(): string {
    return fingerprint(
      this.head.model,
      this.#chain.map(({ numericsClass }) => numericsClass)
    )
  }

  note(event: GenerationEvent): void {
    switch (event.type) {
      case 'start':
        // Of several prompts each tells its beginning.
        this.#counted.promptTokens += event.promptTokens
        if (this.started) return
        this.started = true
        this.#chain = event.chain
        this.#relaxed = event.relaxed
        return
      case 'text':
        this.#counted.completionTokens += event.tokens.length
        if (event.text === '' && (event.logprobs?.length ?? 0) === 0) return
        this.#ofChoice(event.index, 'went on')
        this.#showed()
        if (this.#init.logprobs && event.text !== '' && event.logprobs === undefined)
          throw misbehaved('it left out the probabilities it was asked for')
        return
      case 'tool-call': {
        this.#counted.completionTokens += event.tokens.length
        this.#ofChoice(event.index, 'called a function')
        this.#showed()
        const before = this.#calls[event.index] ?? 0
        const isNew = event.call === before
        const { tools } = this.#init
        if (tools === 'none') throw misbehaved('it called a function, and there is none')
        if (tools === 'one' && event.call > 0) throw misbehaved('it called more than one function')
        if (!(event.call >= 0 && event.call <= before)) throw misbehaved('its calls are out of order')
        if (isNew && (event.id === undefined || event.name === undefined))
          throw misbehaved('a call has no id or no name')
        if (isNew) this.#calls[event.index] = before + 1
        return
      }
      case 'finish':
        this.#ofChoice(event.index, 'finished')
        this.#finished[event.index] = event.reason
        this.#ends++
        return
      case 'usage':
        this.#usage = event.usage
        this.#hops = event.hops
    }
  }

  #ofChoice(index: number, what: string): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.n)
      throw misbehaved(`there is no choice ${index}`)
    if (this.#finished[index] !== undefined) throw misbehaved(`it ${what} after its end`)
  }

  #showed(): void {
    this.#firstTokenMs ??= this.#clock.monotonic() - this.#init.startedAt
  }

  usage(): Usage {
    if (this.#ends < this.n) throw misbehaved('it ended without a finish reason')
    if (this.#usage === undefined) throw misbehaved('it ended without its token counts')
    return this.#usage
  }

  end(outcome: AnswerOutcome['outcome'], error?: unknown): Promise<string | undefined> {
    const { kind, stream, startedAt } = this.#init
    const told: AnswerOutcome = {
      ...this.head,
      kind,
      stream,
      outcome,
      durationMs: this.#clock.monotonic() - startedAt
    }
    const finishReason = this.#finished[0]
    if (finishReason !== undefined) told.finishReason = finishReason
    // Who leaves before the end has used what was made for him all the same.
    if (this.#usage !== undefined || this.started) told.usage = this.#usage ?? this.#counted
    if (this.started) told.chain = this.#chain
    if (this.#relaxed !== undefined) told.relaxed = this.#relaxed
    if (this.#hops !== undefined) told.hops = this.#hops
    if (this.#firstTokenMs !== undefined) told.firstTokenMs = this.#firstTokenMs
    if (error !== undefined) told.error = error
    return this.#admission.end(told)
  }
}

/** The error of a model that breaks its contract. */
export function misbehaved(why: string): KwaaiError<'ERR_API_MODEL_MISBEHAVED'> {
  return new KwaaiError(
    'ERR_API_MODEL_MISBEHAVED',
    `Cannot complete the answer: the model broke its contract, ${why}`
  )
}

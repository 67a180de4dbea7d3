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
  const { id, created, model, kind, stream, n } = init
  const finished = new Map<number, AnswerOutcome['finishReason'] & string>()
  const calls = new Map<number, number>()
  let started = false
  let chain: readonly ChainHop[] = []
  let relaxed: readonly RouteConstraintName[] | undefined
  let usage: Usage | undefined
  /** What is known of the counts while the model has not told them. */
  const counted: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 }
  let hops: readonly HopAccount[] | undefined
  let firstTokenMs: number | undefined

  const ofChoice = (index: number, what: string): void => {
    if (!Number.isInteger(index) || index < 0 || index >= n) throw misbehaved(`there is no choice ${index}`)
    if (finished.has(index)) throw misbehaved(`it ${what} after its end`)
  }
  const showed = (): void => {
    firstTokenMs ??= clock.monotonic() - init.startedAt
  }

  const note = (event: GenerationEvent): void => {
    switch (event.type) {
      case 'start':
        // Of several prompts each tells its beginning.
        counted.promptTokens += event.promptTokens
        if (started) return
        started = true
        chain = event.chain
        relaxed = event.relaxed
        return
      case 'text':
        counted.completionTokens += event.tokens.length
        if (event.text === '' && (event.logprobs?.length ?? 0) === 0) return
        ofChoice(event.index, 'went on')
        showed()
        if (init.logprobs && event.text !== '' && event.logprobs === undefined)
          throw misbehaved('it left out the probabilities it was asked for')
        return
      case 'tool-call': {
        counted.completionTokens += event.tokens.length
        ofChoice(event.index, 'called a function')
        showed()
        const before = calls.get(event.index) ?? 0
        const isNew = event.call === before
        if (init.tools === 'none') throw misbehaved('it called a function, and there is none')
        if (init.tools === 'one' && event.call > 0) throw misbehaved('it called more than one function')
        if (!(event.call >= 0 && event.call <= before)) throw misbehaved('its calls are out of order')
        if (isNew && (event.id === undefined || event.name === undefined))
          throw misbehaved('a call has no id or no name')
        if (isNew) calls.set(event.index, before + 1)
        return
      }
      case 'finish':
        ofChoice(event.index, 'finished')
        finished.set(event.index, event.reason)
        return
      case 'usage':
        usage = event.usage
        hops = event.hops
    }
  }

  return {
    head: { id, created, model },
    n,
    get started() {
      return started
    },
    get chain() {
      return hops !== undefined && hops.length > 0 ? hops : chain
    },
    fingerprint: () =>
      fingerprint(
        model,
        chain.map(({ numericsClass }) => numericsClass)
      ),
    note,
    usage() {
      if (finished.size < n) throw misbehaved('it ended without a finish reason')
      if (usage === undefined) throw misbehaved('it ended without its token counts')
      return usage
    },
    end(outcome, error) {
      const finishReason = finished.get(0)
      return admission.end({
        id,
        kind,
        model,
        created,
        stream,
        outcome,
        ...(finishReason !== undefined && { finishReason }),
        // Who leaves before the end has used what was made for him all the same.
        ...((usage !== undefined || started) && { usage: usage ?? counted }),
        ...(started && { chain }),
        ...(relaxed !== undefined && { relaxed }),
        ...(hops !== undefined && { hops }),
        ...(firstTokenMs !== undefined && { firstTokenMs }),
        durationMs: clock.monotonic() - init.startedAt,
        ...(error !== undefined && { error })
      })
    }
  }
}

/** The error of a model that breaks its contract. */
export function misbehaved(why: string): KwaaiError<'ERR_API_MODEL_MISBEHAVED'> {
  return new KwaaiError(
    'ERR_API_MODEL_MISBEHAVED',
    `Cannot complete the answer: the model broke its contract, ${why}`
  )
}

import { KwaaiError, type CallOptions } from '@kwaai/interface'
import { merged } from './merged.ts'
import type { TokenSession } from './token-session.ts'

/** The answers of one request. */
export interface AnswersInit {
  prompt: readonly number[]
  /** How many. */
  count: number
  /** How many may be made at once, where places are free. */
  maxAtOnce: number
}

/** What answers are made with. */
export interface AnswersComponents<T> {
  /** The session of the first place, which stays open. */
  session: TokenSession
  /** Makes one answer in a session that holds the first `from` rows of the prompt. */
  answer(index: number, from: number, session: TokenSession, call: CallOptions): AsyncGenerator<T>
  /** Opens a session for another place; undefined where it would not be like the first. */
  open(call: CallOptions): Promise<TokenSession | undefined>
  /** Lets those who wait for a place go first, before another answer in the first one. */
  turn(call: CallOptions): Promise<void>
  /** Takes a place nobody waits for, if there is one: what gives it back. */
  place(): (() => void) | undefined
  /** True while others wait for a place. */
  crowded(): boolean
  /** Called with each further session before it is closed. */
  closing(session: TokenSession): void
}

/**
 * Makes the answers of a request: one after the other in the place it has, and side by side in places that are free.
 * Between two answers whoever waits goes first. A place beyond the first is given back then, and is never waited
 * for; so a request for many answers keeps nobody from theirs longer than one of them takes, and always gets on.
 */
export async function* makeAnswers<T>(
  init: AnswersInit,
  components: AnswersComponents<T>,
  call: CallOptions
): AsyncGenerator<T> {
  const { prompt, count, maxAtOnce } = init
  const ending = new AbortController()
  const running = signalsOf(call.signal, ending.signal)
  /** Ends the openings that are under way, not the sessions that came of others. */
  const opening = new Set<AbortController>()
  let next = 0
  let places = 0
  /** A session was not to be had: no other is tried. */
  let refused = false

  const nextIndex = (): number | undefined => {
    const index = next < count ? next++ : undefined
    if (next === count) for (const controller of opening) controller.abort()
    return index
  }

  async function* first(): AsyncGenerator<T> {
    for (let index = nextIndex(); index !== undefined; index = nextIndex()) {
      if (index > 0) await components.turn(running)
      yield* components.answer(index, components.session.rewind(prompt), components.session, running)
    }
  }

  /** A further session; undefined where none is to be had, or none is needed any more. */
  const openFurther = async (): Promise<TokenSession | undefined> => {
    const controller = new AbortController()
    opening.add(controller)
    try {
      const session = await components.open(signalsOf(running.signal, controller.signal))
      if (session === undefined) refused = true
      return session
    } catch (error) {
      running.signal?.throwIfAborted()
      if (!controller.signal.aborted && !KwaaiError.is(error, 'ERR_MODEL_UNAVAILABLE')) throw error
      refused = true
      return undefined
    } finally {
      opening.delete(controller)
    }
  }

  async function* further(leave: () => void): AsyncGenerator<T> {
    try {
      const session = await openFurther()
      if (session === undefined) return
      try {
        for (let index = nextIndex(); index !== undefined; index = nextIndex()) {
          yield* components.answer(index, session.rewind(prompt), session, running)
          if (components.crowded()) return
        }
      } finally {
        components.closing(session)
        await session[Symbol.asyncDispose]()
      }
    } finally {
      places--
      leave()
    }
  }

  const more = (): AsyncGenerator<T> | undefined => {
    if (places === 0) {
      places = 1
      return first()
    }
    if (refused || places >= maxAtOnce || count - next <= opening.size) return undefined
    const leave = components.place()
    if (leave === undefined) return undefined
    places++
    return further(leave)
  }
  yield* merged(more, () => ending.abort())
}

function signalsOf(...signals: readonly (AbortSignal | undefined)[]): { signal: AbortSignal } {
  return { signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)) }
}

import type { CallOptions, GenerationEvent, LanguageModel } from '@kwaai/interface'
import { nodeError } from './errors.ts'

/** A model whose answers are counted, so that a node can end when the last one has. */
export interface Answers {
  readonly model: LanguageModel
  /** Answers under way. */
  running(): number
  /** Refuses new answers from now on, and resolves once none is under way. @throws the signal's reason. */
  end(options?: CallOptions): Promise<void>
}

/** Milliseconds after which another node, or this one started anew, may answer. */
const retryAfterMs = 5_000

/** Counts the answers of a model. */
export function countAnswers(inner: LanguageModel): Answers {
  let running = 0
  let ending = false
  let onIdle = (): void => undefined

  async function* counted(events: () => AsyncIterable<GenerationEvent>): AsyncGenerator<GenerationEvent> {
    if (ending) {
      throw nodeError('ERR_MODEL_UNAVAILABLE', 'Cannot generate: the node is ending', {
        details: { retryAfterMs }
      })
    }
    running++
    try {
      yield* events()
    } finally {
      running--
      if (running === 0) onIdle()
    }
  }

  return {
    model: {
      ...inner,
      chat: (request, options) => counted(() => inner.chat(request, options)),
      complete: (request, options) => counted(() => inner.complete(request, options))
    },
    running: () => running,
    end({ signal } = {}) {
      ending = true
      return new Promise((resolve, reject) => {
        const abort = (): void => reject(signal?.reason)
        signal?.addEventListener('abort', abort, { once: true })
        onIdle = () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        }
        if (signal?.aborted) abort()
        else if (running === 0) onIdle()
      })
    }
  }
}

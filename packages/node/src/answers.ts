import type { CallOptions, Embedder, GenerationEvent, LanguageModel } from '@kwaai/interface'
import { nodeError } from './errors.ts'

/** A model whose answers are counted, so that a node can end when the last one has. */
export interface Answers {
  readonly model: LanguageModel
  /** Counts what an embedder does among them. */
  embedder<T extends Embedder>(inner: T): T
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

  const begin = (what: string): void => {
    if (ending) {
      throw nodeError('ERR_MODEL_UNAVAILABLE', `Cannot ${what}: the node is ending`, {
        details: { retryAfterMs }
      })
    }
    running++
  }
  const done = (): void => {
    running--
    if (running === 0) onIdle()
  }
  async function* counted(events: () => AsyncIterable<GenerationEvent>): AsyncGenerator<GenerationEvent> {
    begin('generate')
    try {
      yield* events()
    } finally {
      done()
    }
  }

  return {
    model: {
      ...inner,
      chat: (request, options) => counted(() => inner.chat(request, options)),
      complete: (request, options) => counted(() => inner.complete(request, options))
    },
    embedder: (embedder) => ({
      ...embedder,
      async embed(request, options) {
        begin('embed')
        try {
          return await embedder.embed(request, options)
        } finally {
          done()
        }
      }
    }),
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

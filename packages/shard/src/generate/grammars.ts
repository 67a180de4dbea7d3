import type { CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type {
  CompiledGrammar,
  GrammarCompiler,
  GrammarEngine,
  GrammarRule,
  GrammarVocabulary
} from './grammar.ts'

/** Compiles what answers have to follow, for one model. */
export interface Grammars extends Disposable {
  /** @throws what {@link GrammarCompiler.compile} throws, and the signal's reason. */
  compile(rule: GrammarRule, options?: CallOptions): Promise<CompiledGrammar>
}

/**
 * Makes the tokens of a model ready for an engine when the first grammar is asked for, once for all who ask. The
 * engine's memory is given back when nobody uses a grammar any more after the end.
 */
export function createGrammars(engine: GrammarEngine, vocabulary: GrammarVocabulary): Grammars {
  const lifetime = new AbortController()
  let preparing: Promise<GrammarCompiler> | undefined
  let users = 0

  /** Not ended by the signal of who came first: others wait for the same. */
  const prepare = (): Promise<GrammarCompiler> => {
    preparing ??= engine.compiler(vocabulary, { signal: lifetime.signal }).catch((error: unknown) => {
      preparing = undefined
      throw error
    })
    return preparing
  }
  const settle = (): void => {
    if (users > 0 || !lifetime.signal.aborted) return
    const ready = preparing
    preparing = undefined
    // A compiler that could not be made needs no end.
    ready?.then(
      (compiler) => compiler[Symbol.dispose](),
      () => undefined
    )
  }

  return {
    async compile(rule, options = {}) {
      const { signal } = options
      signal?.throwIfAborted()
      if (lifetime.signal.aborted) {
        throw shardError('ERR_BACKEND_CLOSED', 'Cannot follow a grammar: the model was closed')
      }
      users++
      let left = false
      const leave = (): void => {
        if (left) return
        left = true
        users--
        settle()
      }
      try {
        const compiler = await whileWanted(prepare(), signal)
        const grammar = await compiler.compile(rule, options)
        return {
          start: () => grammar.start(),
          dispose() {
            if (left) return
            grammar.dispose()
            leave()
          }
        }
      } catch (error) {
        leave()
        throw error
      }
    },
    [Symbol.dispose]() {
      lifetime.abort(shardError('ERR_BACKEND_CLOSED', 'Cannot follow a grammar: the model was closed'))
      settle()
    }
  }
}

/** The same promise, for as long as the signal lets it. */
async function whileWanted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let abort = (): void => undefined
  const ended = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, ended])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

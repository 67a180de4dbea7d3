/** A grammar engine small enough to read: a text has to be one of a list, whatever the rule says. */
import type { CompiledGrammar, GrammarEngine, GrammarRule, GrammarVocabulary } from '../src/generate/index.ts'

/** What was asked of an engine, and what is still held. */
export interface EngineTrace {
  rules: GrammarRule[]
  compilers: number
  matchers: number
  grammars: number
  disposed: boolean
}

/** An engine of these texts. `before` may hold up or fail a compilation. */
export function choiceEngine(
  texts: readonly string[],
  before: (rule: GrammarRule, options: { signal?: AbortSignal }) => Promise<void> | void = () => undefined
): { engine: GrammarEngine; trace: EngineTrace } {
  const trace: EngineTrace = { rules: [], compilers: 0, matchers: 0, grammars: 0, disposed: false }
  const choices = texts.map((text) => [...new TextEncoder().encode(text)].join())
  const engine: GrammarEngine = {
    specification: 'kwaai.grammar-engine/1',
    async compiler(vocabulary) {
      trace.compilers++
      return {
        async compile(rule, options = {}) {
          trace.rules.push(rule)
          await before(rule, options)
          trace.grammars++
          return grammarOf(vocabulary, choices, trace)
        },
        [Symbol.dispose]: () => void (trace.disposed = true)
      }
    }
  }
  return { engine, trace }
}

function grammarOf(
  vocabulary: GrammarVocabulary,
  choices: readonly string[],
  trace: EngineTrace
): CompiledGrammar {
  const keys = Array.from({ length: vocabulary.size }, (_, token) => [...vocabulary.bytes(token)].join())
  return {
    start() {
      trace.matchers++
      const mask = new Int32Array(Math.ceil(vocabulary.size / 32))
      let done = ''
      let open = true
      const after = (token: number): string => (done === '' ? '' : `${done},`) + (keys[token] as string)
      const fits = (token: number): boolean => {
        if (vocabulary.endTokens.has(token)) return choices.includes(done)
        if (vocabulary.isControl(token) || keys[token] === '') return false
        return choices.some((choice) => `${choice},`.startsWith(`${after(token)},`))
      }
      return {
        mask() {
          mask.fill(0)
          for (let token = 0; token < vocabulary.size; token++) {
            if (fits(token)) mask[token >> 5] = (mask[token >> 5] as number) | (1 << (token & 31))
          }
          return mask
        },
        accept(token) {
          if (!fits(token)) throw new Error(`token ${token} does not fit`)
          done = after(token)
        },
        dispose() {
          if (open) trace.matchers--
          open = false
        }
      }
    },
    dispose: () => void trace.grammars--
  }
}

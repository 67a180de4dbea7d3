import type { CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type {
  CompiledGrammar,
  GrammarCompiler,
  GrammarEngine,
  GrammarMatcher,
  GrammarRule,
  GrammarVocabulary
} from '../generate/grammar.ts'
import { AmbiguityError, createAutomaton, type Automaton, type State } from './automaton.ts'
import { compileRule } from './compile-rule.ts'
import { createKept } from './kept.ts'
import { grammarLimits, type GrammarLimits } from './limits.ts'
import { createTokenTree, tokenMask, type TokenTree } from './token-tree.ts'

/** How an engine is made. */
export interface GrammarEngineInit {
  /** Bounds that differ from `defaultGrammarLimits`. */
  limits?: Partial<GrammarLimits>
}

/**
 * Holds text to JSON Schemas, grammars and function calls: in plain TypeScript, exactly, in bounded memory.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` for a limit out of range.
 */
export function createGrammarEngine(init: GrammarEngineInit = {}): GrammarEngine {
  const limits = grammarLimits(init.limits)
  return {
    specification: 'kwaai.grammar-engine/1',
    async compiler(vocabulary, options = {}) {
      options.signal?.throwIfAborted()
      return createCompiler(vocabulary, limits)
    }
  }
}

function createCompiler(vocabulary: GrammarVocabulary, limits: GrammarLimits): GrammarCompiler {
  const tree = createTokenTree(vocabulary)
  const endTokens = [...vocabulary.endTokens].filter((token) => token >= 0 && token < vocabulary.size)
  // All that are remembered are together no larger than one may be.
  const kept = createKept<Automaton>({ count: limits.grammars, size: limits.steps })
  let closed = false
  const automatonOf = (rule: GrammarRule): Automaton => {
    const key = keyOf(rule)
    const known = key === undefined ? undefined : kept.get(key)
    const automaton = known ?? guarded(() => createAutomaton(compileRule(rule, limits), limits))
    if (key === undefined) return automaton
    kept.set(key, automaton)
    return automaton
  }
  return {
    async compile(rule: GrammarRule, options: CallOptions = {}): Promise<CompiledGrammar> {
      options.signal?.throwIfAborted()
      if (closed) throw shardError('ERR_BACKEND_CLOSED', 'The compiler of grammars was closed')
      let automaton: Automaton | undefined = automatonOf(rule)
      return {
        start() {
          if (automaton === undefined) throw shardError('ERR_BACKEND_CLOSED', 'The grammar was given up')
          return createMatcher(automaton, tree, vocabulary, endTokens)
        },
        dispose() {
          automaton = undefined
        }
      }
    },
    [Symbol.dispose]() {
      closed = true
      kept.clear()
    }
  }
}

/** A name for a rule that equal rules share. */
function keyOf(rule: GrammarRule): string | undefined {
  try {
    return JSON.stringify(rule)
  } catch {
    // What it is that cannot be written is said where it is read.
    return undefined
  }
}

function createMatcher(
  automaton: Automaton,
  tree: TokenTree,
  vocabulary: GrammarVocabulary,
  endTokens: readonly number[]
): GrammarMatcher {
  let state: State | undefined = automaton.start
  let ended = false
  const mask = new Int32Array(Math.ceil(tree.size / 32))
  const here = (): State => {
    if (state === undefined) throw shardError('ERR_BACKEND_CLOSED', 'The matcher was given up')
    return state
  }
  return {
    mask() {
      const at = here()
      mask.fill(0)
      if (ended) return mask
      const far = automaton.far(at, tree.deepest + 2)
      if (far.mask === undefined) {
        guarded(() =>
          automaton.keepMask(
            far,
            automaton.bounded(() => tokenMask(tree, automaton, far))
          )
        )
      }
      mask.set(far.mask ?? [])
      if (at.accepting) {
        for (const token of endTokens) mask[token >> 5] = (mask[token >> 5] as number) | (1 << (token & 31))
      }
      return mask
    },
    accept(token) {
      const at = here()
      const refused = (): Error => new Error(`The grammar does not allow the token ${token} here`)
      if (ended) throw refused()
      if (vocabulary.endTokens.has(token)) {
        if (!at.accepting) throw refused()
        ended = true
        return
      }
      const bytes = vocabulary.isControl(token) ? new Uint8Array() : vocabulary.bytes(token)
      if (bytes.length === 0) throw refused()
      let next: State | null = at
      for (const byte of bytes) {
        const from: State = next
        next = guarded(() => automaton.step(from, automaton.classOf[byte] as number))
        if (next === null) throw refused()
      }
      state = next
    },
    dispose() {
      state = undefined
    }
  }
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof AmbiguityError)) throw error
    throw shardError(
      'ERR_MODEL_UNSUPPORTED',
      'Cannot follow the constraint: the text may stand in too many places of it at once; make it less ambiguous',
      { cause: error, details: { param: 'constraint' } }
    )
  }
}

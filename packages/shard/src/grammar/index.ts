/**
 * Holds generated text to a JSON Schema, a grammar in GBNF or the calls of functions: `createGrammarEngine` makes the
 * {@link GrammarEngine} that `createTextModel` takes. What it lets through follows the schema whole; a keyword it
 * cannot hold a text to is refused by name.
 *
 * @packageDocumentation
 */
export { createGrammarEngine, type GrammarEngineInit } from './engine.ts'
export { defaultGrammarLimits, type GrammarLimits } from './limits.ts'
export type {
  CompiledGrammar,
  GrammarCompiler,
  GrammarEngine,
  GrammarMatcher,
  GrammarRule,
  GrammarVocabulary,
  TagRule
} from '../generate/grammar.ts'

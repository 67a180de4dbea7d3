import type { CallOptions, TextConstraint } from '@kwaai/interface'

/** The tokens of a model, as a grammar sees them. */
export interface GrammarVocabulary {
  /** Number of tokens. */
  readonly size: number
  /** What a token stands for; may be a part of a character. */
  bytes(token: number): Uint8Array
  /** Tokens that end a text. */
  readonly endTokens: ReadonlySet<number>
  /** True for tokens that stand for no text: a grammar never lets them in. */
  isControl(token: number): boolean
}

/** A stretch of text between two marks, such as a function call. */
export interface TagRule {
  /** Literal text before it. */
  begin: string
  /** JSON Schema of what stands between. */
  schema: unknown
  /** As {@link TextConstraint} has it. */
  strict: boolean
  /** Literal text after it. */
  end: string
}

/** What a text has to follow. */
export type GrammarRule =
  | TextConstraint
  | {
      /** Text, in which a trigger begins one of the tags. Tags alone where at least one is asked for. */
      type: 'tags'
      tags: readonly TagRule[]
      /** Each begin of a tag begins with one of these; where one appears in the text, a tag has to follow. */
      triggers: readonly string[]
      /** Nothing but tags, and one at least. */
      required: boolean
      /** The text ends with the first tag. */
      single: boolean
      /** What a text without tags has to follow; only where no tag is required. */
      text?: TextConstraint
    }

/** Where one text stands in its grammar. */
export interface GrammarMatcher {
  /**
   * The tokens that may come next, a bit each: token `t` is bit `t % 32` of word `t >> 5`. Undefined where all
   * may. End tokens are among them exactly where the text may end. The same memory each time, and this matcher's
   * own: it is read after others of the same grammar went on.
   */
  mask(): Int32Array | undefined
  /** Goes on by a token that the mask allows. @throws an Error for another one. */
  accept(token: number): void
  /** Gives its memory back. A second call does nothing. */
  dispose(): void
}

/** A grammar, ready for the tokens of one model. */
export interface CompiledGrammar {
  /** At the beginning of a text. */
  start(): GrammarMatcher
  /** Gives up its share; it is kept for a while for the next who compile the same. */
  dispose(): void
}

/** Compiles grammars for one model. */
export interface GrammarCompiler extends Disposable {
  /**
   * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST` for a rule that makes no sense, `ERR_MODEL_UNSUPPORTED`
   * (`details.keyword`) for a schema's keyword it cannot hold a text to; `details.param` is `constraint` or
   * `tools`.
   */
  compile(rule: GrammarRule, options?: CallOptions): Promise<CompiledGrammar>
}

/** Holds generated text to a grammar. `@kwaai/shard/grammar` is one. */
export interface GrammarEngine {
  readonly specification: 'kwaai.grammar-engine/1'
  compiler(vocabulary: GrammarVocabulary, options?: CallOptions): Promise<GrammarCompiler>
}

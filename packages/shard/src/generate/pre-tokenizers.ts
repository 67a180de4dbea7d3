import { shardError } from '../errors.ts'

/** How text is cut into words before merging. */
export interface PreTokenizer {
  /** Applied one after the other: each match is a piece, and so is each stretch between two. */
  readonly patterns: readonly string[]
  /** A word that is a token as it stands is taken without merging. */
  readonly ignoreMerges: boolean
  /** Prompts begin with the first token unless the metadata says otherwise. */
  readonly addBos: boolean
}

// `\s` is Unicode's White_Space in all of these, not JavaScript's.
/** openai/gpt-2, encoder.py. */
const gpt2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
const contractions = String.raw`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`
const lineEnds = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`
/** openai/tiktoken, cl100k_base, digits in groups of at most `digits`; meta-llama/llama3 uses it with three. */
const cl100k = (digits: string): string =>
  String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|${lineEnds}`
const digit = String.raw`\p{N}`

const plain = (...patterns: string[]): PreTokenizer => ({ patterns, ignoreMerges: false, addBos: false })

const smollm = plain(digit, gpt2)
const gpt2Words = plain(gpt2)
const qwen2 = plain(cl100k(''))
const llama3: PreTokenizer = { patterns: [cl100k('{1,3}')], ignoreMerges: true, addBos: true }
const llama3Words = plain(cl100k('{1,3}'))
/** What llama.cpp does for `default` and for files that name none. */
const fallback = plain(
  String.raw`[\p{P}\$\+<=>\^~\|]+`,
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`,
  String.raw`\p{N}+`,
  '[0-9][0-9][0-9]'
)

/** By `tokenizer.ggml.pre`. The names, and which of them are alike, are llama.cpp's (src/llama-vocab.cpp). */
const table: Readonly<Record<string, PreTokenizer>> = {
  default: fallback,
  'gpt-2': gpt2Words,
  'phi-2': gpt2Words,
  mpt: gpt2Words,
  olmo: gpt2Words,
  exaone4: gpt2Words,
  smollm,
  starcoder: smollm,
  refact: smollm,
  'command-r': smollm,
  codeshell: smollm,
  exaone: smollm,
  'minerva-7b': smollm,
  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  falcon3: llama3,
  lfm2: llama3,
  dbrx: llama3Words,
  'smaug-bpe': llama3Words,
  'chatglm-bpe': llama3Words,
  glm4: llama3Words,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  stablelm2: qwen2,
  hunyuan: qwen2,
  megrez: qwen2
}

/** The names this package knows. */
export const preTokenizerNames: readonly string[] = Object.keys(table)

/** @throws A KwaaiError `ERR_TOKENIZER_UNSUPPORTED` for a name this package does not know. */
export function preTokenizerOf(name: string): PreTokenizer {
  if (Object.hasOwn(table, name)) return table[name] as PreTokenizer
  throw shardError(
    'ERR_TOKENIZER_UNSUPPORTED',
    `Cannot make a tokenizer: the pre-tokenizer "${name}" is unknown`,
    {
      details: { preTokenizer: name }
    }
  )
}

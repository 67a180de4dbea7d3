import { Tokenizer as BpeTokenizer } from '@huggingface/tokenizers'
import type { GgufFile } from '../gguf/index.ts'
import { fromByteLevel } from './byte-level.ts'
import { createDetokenizer, type Detokenizer } from './detokenizer.ts'
import type { TokenKind } from './special-tokens.ts'
import { readVocabulary, type Vocabulary } from './vocabulary.ts'

/** Text to tokens and back. */
export interface Tokenizer {
  readonly vocabularySize: number
  /** The token every prompt begins with, or `undefined` when the model wants none. */
  readonly firstToken: number | undefined
  /** The id of the begin-of-text token, if the model has one. */
  readonly bosToken: number | undefined
  /** The id of the main end token, if the model has one. */
  readonly eosToken: number | undefined
  /** Every token that ends a generation. */
  readonly endTokens: ReadonlySet<number>
  /** Texts of the tokens that `encode` never makes. */
  readonly controlTexts: readonly string[]
  /** Tokens of plain text: whatever it holds, no control token comes out. {@link firstToken} is not added. */
  encode(text: string): number[]
  /**
   * Tokens of text in which control tokens are meant, such as a rendered template. The stretches between them
   * go through `restore` before they are encoded as plain text.
   */
  encodeWithControl(text: string, restore?: (plain: string) => string): number[]
  /** Text of tokens; bytes that are no UTF-8 become U+FFFD. Control tokens show only with `control`. */
  decode(tokens: Iterable<number>, options?: { control?: boolean }): string
  /** The exact bytes a token stands for; of a control token its name. Empty outside the vocabulary. */
  bytes(token: number): Uint8Array
  /** True for tokens that never show in a text. */
  isControl(token: number): boolean
  /** Text of tokens that arrive one by one. */
  detokenizer(): Detokenizer
}

/**
 * The tokenizer of a GGUF file, by its own metadata; the same tokens as llama.cpp.
 *
 * @throws A KwaaiError `ERR_TOKENIZER_UNSUPPORTED`, `ERR_TOKENIZER_INVALID` or `ERR_GGUF_MISSING_METADATA`.
 */
export function createTokenizer(file: GgufFile): Tokenizer {
  return createVocabularyTokenizer(readVocabulary(file))
}

/** The tokenizer of a vocabulary. */
export function createVocabularyTokenizer(vocabulary: Vocabulary): Tokenizer {
  const { tokens, kinds, bosToken, eosToken, addBos, endTokens } = vocabulary
  const bpe = new BpeTokenizer(bpeConfig(vocabulary), { clean_up_tokenization_spaces: false })
  const isHidden = (kind: TokenKind | undefined): boolean => kind === 'control' || kind === 'unknown'
  const ids = tokens.map((_, id) => id)
  // llama.cpp looks for user-defined tokens in every text, for control and unknown ones only where asked to.
  const userDefined = longestFirst(
    tokens,
    ids.filter((id) => kinds[id] === 'user-defined')
  )
  const all = longestFirst(
    tokens,
    ids.filter((id) => kinds[id] === 'user-defined' || isHidden(kinds[id]))
  )

  const words = (text: string): number[] => bpe.encode(text, { add_special_tokens: false }).ids
  const encode = (text: string): number[] =>
    partition(wellFormed(text), userDefined).flatMap((part) =>
      typeof part === 'number' ? part : words(part)
    )

  const cache = new Map<number, Uint8Array>()
  const bytes = (token: number): Uint8Array => {
    const known = cache.get(token)
    if (known !== undefined) return known
    const text = tokens[token] ?? ''
    const made =
      (kinds[token] === 'normal' ? fromByteLevel(text) : undefined) ?? new TextEncoder().encode(text)
    cache.set(token, made)
    return made
  }
  const isControl = (token: number): boolean => isHidden(kinds[token])
  const detokenizer = (control = false): Detokenizer =>
    createDetokenizer((token) => (isControl(token) && !control ? new Uint8Array() : bytes(token)))

  return {
    vocabularySize: tokens.length,
    firstToken: addBos ? bosToken : undefined,
    bosToken,
    eosToken,
    endTokens,
    controlTexts: all.filter(({ id }) => isHidden(kinds[id])).map(({ text }) => text),
    encode,
    encodeWithControl: (text, restore = (plain) => plain) =>
      partition(text, all).flatMap((part) => (typeof part === 'number' ? part : encode(restore(part)))),
    decode(list, options = {}) {
      const stream = detokenizer(options.control)
      let text = ''
      for (const token of list) text += stream.push(token)
      return text + stream.flush()
    },
    bytes,
    isControl,
    detokenizer
  }
}

/** The parts of a tokenizer.json that byte-level BPE needs. */
function bpeConfig({ tokens, merges, preTokenizer }: Vocabulary): object {
  const splits = preTokenizer.patterns.map((pattern) => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false
  }))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  return {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits, byteLevel] },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      merges,
      unk_token: null,
      byte_fallback: false,
      ignore_merges: preTokenizer.ignoreMerges
    }
  }
}

interface SpecialToken {
  readonly text: string
  readonly id: number
}

/** llama.cpp cuts a text at its longest special tokens first, length counted in bytes. */
function longestFirst(tokens: readonly string[], ids: readonly number[]): SpecialToken[] {
  const encoder = new TextEncoder()
  return ids
    .map((id) => ({ id, text: tokens[id] as string, length: encoder.encode(tokens[id]).length }))
    .filter(({ length }) => length > 0)
    .toSorted((a, b) => b.length - a.length || a.id - b.id)
}

/** Cuts a text at special tokens: texts between them, never empty, and the ids. */
function partition(text: string, special: readonly SpecialToken[]): (string | number)[] {
  let parts: (string | number)[] = [text]
  for (const { text: token, id } of special) {
    if (!text.includes(token)) continue
    parts = parts.flatMap((part) =>
      typeof part === 'number'
        ? [part]
        : part.split(token).flatMap((piece, i) => (i === 0 ? [piece] : [id, piece]))
    )
  }
  return parts.filter((part) => part !== '')
}

/** Halves of surrogate pairs have no UTF-8; they become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD')
}

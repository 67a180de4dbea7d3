import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'
import { shardError } from '../errors.ts'

/** The files a tokenizer is made of, parsed. */
export interface WordPieceFiles {
  /** `tokenizer.json`. */
  tokenizer: unknown
  /** `tokenizer_config.json`. */
  tokenizerConfig: unknown
}

/** Text to the tokens of a BERT encoder. */
export interface WordPieceTokenizer {
  /** Ids are below this. */
  readonly vocabularySize: number
  /** Tokens of the text itself; names of special tokens in it become those, as in every tokenizer of this kind. */
  encode(text: string): number[]
  /** Cuts a text at spaces into parts of some `length` characters whose tokens are, together, those of the text. */
  parts(text: string, length: number): Iterable<string>
  /** The tokens an encoder reads: with `[CLS]` before them and `[SEP]` behind. */
  framed(tokens: readonly number[]): number[]
}

/** What {@link WordPieceTokenizer.framed} adds. */
export const framingTokens: number = 2

type Json = Readonly<Record<string, unknown>>

/**
 * The tokenizer of a BERT encoder, from the files beside its weights. Truncation and padding that
 * `tokenizer.json` asks for are left aside: nothing is ever cut.
 *
 * @throws A KwaaiError `ERR_TOKENIZER_UNSUPPORTED` for one that is not BERT's WordPiece, `ERR_TOKENIZER_INVALID`
 * for files that contradict themselves.
 */
export function createWordPieceTokenizer(files: WordPieceFiles): WordPieceTokenizer {
  const json = object(files.tokenizer, 'tokenizer.json')
  const config = object(files.tokenizerConfig, 'tokenizer_config.json')
  const model = object(json['model'], 'model')
  const normalizer = object(json['normalizer'], 'normalizer')
  const parts: [string, unknown, string][] = [
    ['model', model['type'], 'WordPiece'],
    ['normalizer', normalizer['type'], 'BertNormalizer'],
    ['pre_tokenizer', object(json['pre_tokenizer'], 'pre_tokenizer')['type'], 'BertPreTokenizer']
  ]
  for (const [part, found, wanted] of parts)
    if (found !== wanted)
      throw shardError(
        'ERR_TOKENIZER_UNSUPPORTED',
        `Cannot use the tokenizer: its ${part} is ${String(found).slice(0, 80)}, only ${wanted} is known`
      )
  const ids = vocabulary(model['vocab'], json['added_tokens'])
  const special = (key: string): number => {
    const entry = config[key]
    const text = typeof entry === 'string' ? entry : object(entry, key)['content']
    const id = typeof text === 'string' ? ids.get(text) : undefined
    if (id === undefined) throw invalid(`its vocabulary has no ${key}`)
    return id
  }
  const first = special('cls_token')
  const last = special('sep_token')
  special('unk_token')
  // A token with a space in it may lie across a cut.
  const spaced = [...ids.keys()].some((token) => token.includes(' '))
  let tokenizer: HubTokenizer
  try {
    tokenizer = new HubTokenizer(json, config)
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause)
  }
  return {
    // Ids may leave gaps, so the largest counts.
    vocabularySize: [...ids.values()].reduce((most, id) => Math.max(most, id + 1), 0),
    encode: (text) => tokenizer.encode(prepared(text, normalizer), { add_special_tokens: false }).ids,
    parts: (text, length) => (spaced ? [text] : cut(text, length)),
    framed: (tokens) => [first, ...tokens, last]
  }
}

function invalid(why: string, cause?: unknown): Error {
  return shardError('ERR_TOKENIZER_INVALID', `Cannot use the tokenizer: ${why}`, { cause })
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${what} is no object`)
  return value as Json
}

/** Ids by token, of the vocabulary and of what was added to it. */
function vocabulary(vocab: unknown, added: unknown): ReadonlyMap<string, number> {
  const ids = new Map<string, number>()
  const add = (text: unknown, id: unknown): void => {
    if (typeof text !== 'string' || typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0)
      throw invalid('an entry of its vocabulary is no text with an id')
    ids.set(text, id)
  }
  for (const [text, id] of Object.entries(object(vocab, 'vocab'))) add(text, id)
  if (new Set(ids.values()).size !== ids.size) throw invalid('two tokens of its vocabulary have one id')
  if (added !== undefined && added !== null && !Array.isArray(added)) throw invalid('added_tokens is no list')
  for (const entry of added ?? []) {
    const token = object(entry, 'an added token')
    add(token['content'], token['id'])
  }
  return ids
}

function* cut(text: string, length: number): Iterable<string> {
  for (let from = 0; from < text.length;) {
    let to = text.length
    if (from + length < to) {
      const before = text.lastIndexOf(' ', from + length)
      const after = before > from ? before : text.indexOf(' ', from + length)
      if (after > from) to = after
    }
    yield text.slice(from, to)
    from = to
  }
}

// What the Rust library, whose tokens these are, calls Chinese beyond the first 65,536 characters (BertNormalizer).
const rareHan =
  /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu

/** Does beforehand what the library for JavaScript does otherwise than that for Rust. */
function prepared(text: string, { lowercase, handle_chinese_chars: han }: Json): string {
  // Halves of surrogate pairs have no UTF-8.
  let plain = text.replace(/\p{Surrogate}/gu, '\uFFFD')
  // It looks at halves of surrogate pairs, so it takes no rare character for a word of its own.
  if (han === true) plain = plain.replace(rareHan, ' $& ')
  // JavaScript has another small sigma at the end of a word.
  return lowercase === true ? plain.replaceAll('\u03a3', '\u03c3') : plain
}

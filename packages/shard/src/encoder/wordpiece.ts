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
  const parts: [string, unknown, string][] = [
    ['model', model['type'], 'WordPiece'],
    ['normalizer', object(json['normalizer'], 'normalizer')['type'], 'BertNormalizer'],
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
  let tokenizer: HubTokenizer
  try {
    tokenizer = new HubTokenizer(json, config)
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause)
  }
  return {
    // Ids may leave gaps, so the largest counts.
    vocabularySize: [...ids.values()].reduce((most, id) => Math.max(most, id + 1), 0),
    encode: (text) => tokenizer.encode(wellFormed(text), { add_special_tokens: false }).ids,
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

/** Halves of surrogate pairs have no UTF-8; they become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD')
}

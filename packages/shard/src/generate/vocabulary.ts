import { shardError } from '../errors.ts'
import {
  metadataBoolean,
  metadataNumber,
  metadataNumbers,
  metadataString,
  metadataStrings,
  type GgufFile
} from '../gguf/index.ts'
import { preTokenizerOf, type PreTokenizer } from './pre-tokenizers.ts'
import { specialTokens, type TokenKind } from './special-tokens.ts'

/** What a tokenizer is made of. */
export interface Vocabulary {
  /** Texts of the tokens, in GPT-2's byte alphabet where the kind is `normal`. */
  readonly tokens: readonly string[]
  /** One a token. */
  readonly kinds: readonly TokenKind[]
  /** Pairs that merge, the most urgent first. */
  readonly merges: readonly (readonly [string, string])[]
  readonly preTokenizer: PreTokenizer
  readonly bosToken: number | undefined
  readonly eosToken: number | undefined
  /** True when every prompt begins with the token `bosToken`. */
  readonly addBos: boolean
  /** Every token that ends a generation. */
  readonly endTokens: ReadonlySet<number>
}

/** The token types of GGUF (`llama_token_type` in llama.cpp's llama.h). */
const kindsByType: readonly (TokenKind | undefined)[] = [
  undefined,
  'normal',
  'unknown',
  'control',
  'user-defined',
  'unused',
  'byte'
]

/**
 * Reads the vocabulary from a GGUF file's metadata.
 *
 * @throws A KwaaiError `ERR_TOKENIZER_UNSUPPORTED` for a tokenizer model or pre-tokenizer this package does not
 * know, `ERR_TOKENIZER_INVALID` when the metadata contradicts itself, `ERR_GGUF_MISSING_METADATA` when a part
 * has the wrong type.
 */
export function readVocabulary(file: GgufFile): Vocabulary {
  const model = metadataString(file, 'tokenizer.ggml.model')
  if (model !== 'gpt2') {
    throw shardError(
      'ERR_TOKENIZER_UNSUPPORTED',
      `Cannot make a tokenizer of the model "${model ?? 'none'}": only byte-level BPE ("gpt2") is supported`,
      { details: { model } }
    )
  }
  const preTokenizer = preTokenizerOf(metadataString(file, 'tokenizer.ggml.pre') ?? 'default')
  const tokens = metadataStrings(file, 'tokenizer.ggml.tokens')
  const merges = metadataStrings(file, 'tokenizer.ggml.merges')
  if (tokens === undefined || tokens.length === 0) throw invalid('tokenizer.ggml.tokens is missing or empty')
  if (merges === undefined) throw invalid('tokenizer.ggml.merges is missing')
  if (new Set(tokens).size !== tokens.length) throw invalid('two tokens have the same text')

  const types = metadataNumbers(file, 'tokenizer.ggml.token_type')
  if (types !== undefined && types.length !== tokens.length) {
    throw invalid(`there are ${tokens.length} tokens but ${types.length} token types`)
  }
  const kinds = tokens.map((_, id): TokenKind => kindsByType[types?.[id] ?? 1] ?? 'unused')

  const idOf = (key: string): number | undefined => {
    const id = metadataNumber(file, `tokenizer.ggml.${key}_token_id`)
    // llama.cpp passes over ids outside the vocabulary, and so do files that write -1 for none.
    return id !== undefined && Number.isInteger(id) && id >= 0 && id < tokens.length ? id : undefined
  }
  const special = specialTokens(tokens, kinds, idOf)
  const bosToken = idOf('bos')
  const addBos = metadataBoolean(file, 'tokenizer.ggml.add_bos_token') ?? preTokenizer.addBos
  if (addBos && bosToken === undefined) throw invalid('it asks for a first token but names none')
  return {
    tokens,
    kinds: special.kinds,
    merges: merges.map(splitMerge),
    preTokenizer,
    bosToken,
    eosToken: idOf('eos'),
    addBos,
    endTokens: special.endTokens
  }
}

/** Splits "a b" at its first blank; a first part that begins with one keeps it (llama.cpp, llama-vocab.cpp). */
function splitMerge(merge: string): readonly [string, string] {
  const blank = merge.indexOf(' ', 1)
  if (blank === -1) throw invalid(`the merge ${JSON.stringify(merge)} has one part`)
  return [merge.slice(0, blank), merge.slice(blank + 1)]
}

function invalid(why: string): Error {
  return shardError('ERR_TOKENIZER_INVALID', `Cannot make a tokenizer of the model: ${why}`)
}

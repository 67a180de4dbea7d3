import type { CallOptions, Clock } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { WordPieceTokenizer } from './wordpiece.ts'

/** What a request may hold. */
export interface EmbeddingLimits {
  maxTexts: number
  maxCharacters: number
  /** Tokens of a text at most, those the encoder adds included. */
  maxTokens: number
  /** Tokens the encoder adds. */
  framingTokens: number
  /** Ids are below this. */
  vocabularySize: number
}

type Input = readonly (string | readonly number[])[]

/** Milliseconds after which tokenizing lets others have the thread. */
const sliceMs = 10
/** Characters that are looked at between two glances at the clock. */
const partCharacters = 2_048

/**
 * Makes what turns a request's texts into the tokens an encoder reads. All are checked before any is encoded.
 *
 * Throws `ERR_MODEL_INVALID_REQUEST` for what is no text and no tokens, `ERR_MODEL_CONTEXT_EXCEEDED` for a text that
 * is too long: it is never cut. `details.index` says which.
 */
export function createEmbeddingTokens(
  tokenizer: WordPieceTokenizer,
  limits: EmbeddingLimits,
  clock: Clock
): (input: Input, options: CallOptions) => Promise<number[][]> {
  const { maxTexts, maxTokens, framingTokens, maxCharacters, vocabularySize } = limits
  const tooLong = (index: number, promptTokens: number, more = ''): Error =>
    shardError(
      'ERR_MODEL_CONTEXT_EXCEEDED',
      `Cannot embed input ${index}: it has ${more}${promptTokens} tokens, ${maxTokens} is the most. Shorten it, or cut it into parts`,
      { details: { promptTokens, contextLength: maxTokens, index } }
    )

  const checkTokens = (tokens: readonly number[], index: number): readonly number[] => {
    if (tokens.length + framingTokens > maxTokens) throw tooLong(index, tokens.length + framingTokens)
    const wrong = tokens.findIndex((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabularySize)
    if (wrong < 0) return tokens
    throw invalid(index, `its token ${wrong} is no id from 0 to ${vocabularySize - 1}`)
  }
  /** Tokens of a text; those of a text of megabytes are counted as far as it is looked at. */
  const encodeText = async (text: string, index: number, pause: () => Promise<void>): Promise<number[]> => {
    const whole = text.length <= maxCharacters
    const tokens: number[] = []
    for (const part of tokenizer.parts(text.slice(0, maxCharacters), partCharacters)) {
      for (const id of tokenizer.encode(part)) tokens.push(id)
      await pause()
    }
    const framed = tokens.length + framingTokens
    if (framed > maxTokens) throw tooLong(index, framed, whole ? '' : 'at least ')
    if (whole) return tokens
    throw invalid(index, `it has ${text.length} characters, ${maxCharacters} is the most`)
  }

  return async (input, { signal }) => {
    if (!Array.isArray(input)) throw invalid(undefined, 'it is no list')
    if (input.length > maxTexts)
      throw invalid(undefined, `it has ${input.length} texts, ${maxTexts} is the most`)
    let last = clock.monotonic()
    const pause = async (): Promise<void> => {
      if (clock.monotonic() - last < sliceMs) return
      await clock.sleep(0, signal === undefined ? {} : { signal })
      last = clock.monotonic()
    }
    const texts: number[][] = []
    for (const [index, each] of (input as Input).entries()) {
      if (typeof each !== 'string' && !Array.isArray(each))
        throw invalid(index, 'it is neither a text nor a list of tokens')
      const tokens =
        typeof each === 'string' ? await encodeText(each, index, pause) : checkTokens(each, index)
      texts.push(tokenizer.framed(tokens))
    }
    return texts
  }
}

/** All tokens of all texts. */
export function tokensOf(texts: readonly (readonly number[])[]): number {
  return texts.reduce((sum, { length }) => sum + length, 0)
}

function invalid(index: number | undefined, why: string): Error {
  const where = index === undefined ? 'the input' : `input ${index}`
  return shardError('ERR_MODEL_INVALID_REQUEST', `Cannot embed ${where}: ${why}`, {
    details: { param: 'input', ...(index === undefined ? {} : { index }) }
  })
}

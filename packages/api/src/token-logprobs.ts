import type { TokenLogprobs, TokenProbability } from '@kwaai/interface'
import type { CompletionLogprobs, TokenLogprobObject, TokenProbabilityObject } from './responses.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
// JSON has no -Infinity; OpenAI's servers write this number for whatever is out of reach.
const leastLogprob = -9999

/** The probabilities of tokens in the form of `/v1/chat/completions`. */
export function chatLogprobs(tokens: readonly TokenLogprobs[]): TokenLogprobObject[] {
  return tokens.map((token) => ({ ...probability(token), top_logprobs: token.top.map(probability) }))
}

function probability({ bytes, logprob }: TokenProbability): TokenProbabilityObject {
  return {
    token: text(bytes) ?? escaped(bytes),
    logprob: Math.max(logprob, leastLogprob),
    bytes: Array.from(bytes)
  }
}

/** Adds tokens to the probabilities of a choice in the form of `/v1/completions`. */
export function createLegacyLogprobs(): (tokens: readonly TokenLogprobs[]) => CompletionLogprobs {
  // Characters begun so far: a token that begins inside of one stands at its place.
  let characters = 0
  return (tokens) => {
    const legacy: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] }
    for (const token of tokens) {
      const inside = isContinuation(token.bytes[0])
      legacy.tokens.push(legacyText(token.bytes))
      legacy.token_logprobs.push(Math.max(token.logprob, leastLogprob))
      legacy.top_logprobs.push(alternatives(token))
      legacy.text_offset.push(inside ? Math.max(0, characters - 1) : characters)
      for (const byte of token.bytes) if (!isContinuation(byte)) characters++
    }
    return legacy
  }
}

/** By text, of tokens with the same text the likelier; the one that was taken is always among them. */
function alternatives(token: TokenLogprobs): Record<string, number> {
  const byText = new Map<string, number>()
  for (const { bytes, logprob } of [...token.top, token]) {
    const name = legacyText(bytes)
    byText.set(name, Math.max(logprob, byText.get(name) ?? leastLogprob))
  }
  return Object.fromEntries(byText)
}

function legacyText(bytes: Uint8Array): string {
  return text(bytes) ?? `bytes:${Array.from(bytes, hex).join('')}`
}

function text(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : hex(byte))).join('')
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

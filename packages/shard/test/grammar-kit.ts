/** Vocabularies, walks and checks for the tests of grammars. */
import type { Random } from '@kwaai/interface'
import type {
  GrammarCompiler,
  GrammarMatcher,
  GrammarRule,
  GrammarVocabulary
} from '../src/generate/grammar.ts'
import { createGrammarEngine, type GrammarEngineInit } from '../src/grammar/index.ts'

const encoder = new TextEncoder()

/** All bytes, two end tokens, a control token, and texts of several characters; some cut through characters. */
export function smallVocabulary(): GrammarVocabulary {
  const texts = [
    '{"',
    '":',
    '",',
    '"}',
    '":"',
    '[]',
    ']}',
    '},{',
    'true',
    'false',
    'null',
    '\\u00',
    '\\ud83d'
  ]
  texts.push(
    '123',
    '0.5',
    '-',
    'abc',
    'name',
    ' the',
    'é',
    '日本',
    '😀',
    'hello',
    'a"b',
    '<call>',
    '</',
    'end'
  )
  const bytes = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...texts.map((text) => encoder.encode(text)),
    encoder.encode('日').slice(0, 2),
    encoder.encode('x😀').slice(0, 3),
    encoder.encode('</s>'),
    encoder.encode('<eot>'),
    encoder.encode('<pad>'),
    new Uint8Array()
  ]
  const size = bytes.length
  return {
    size,
    bytes: (token) => bytes[token] ?? new Uint8Array(),
    endTokens: new Set([size - 4, size - 3]),
    isControl: (token) => token >= size - 4 && token < size - 1
  }
}

/** Whether a mask allows a token. */
export const allows = (mask: Int32Array | undefined, token: number): boolean =>
  mask === undefined || (((mask[token >> 5] as number) >>> (token & 31)) & 1) === 1

/** A compiler for a vocabulary. */
export const compilerFor = (vocabulary: GrammarVocabulary, init?: GrammarEngineInit) =>
  createGrammarEngine(init).compiler(vocabulary)

/** A rule of a schema. */
export const schemaRule = (schema: unknown, strict = true): GrammarRule => ({
  type: 'json-schema',
  schema,
  strict
})

const vocabulary = smallVocabulary()
let small: Promise<GrammarCompiler> | undefined

/** Whether a rule lets a text through, byte by byte as the masks of the small vocabulary say, and lets it end. */
export async function lets(rule: GrammarRule, text: string | Uint8Array): Promise<boolean> {
  small ??= compilerFor(vocabulary)
  const compiler = await small
  const grammar = await compiler.compile(rule)
  const matcher = grammar.start()
  const [end = 0] = vocabulary.endTokens
  for (const byte of typeof text === 'string' ? encoder.encode(text) : text) {
    if (!allows(matcher.mask(), byte)) return false
    matcher.accept(byte)
  }
  return allows(matcher.mask(), end)
}

/** The bytes of a text that takes a random way through the masks; `finished` where it came to an end. */
export function walk(
  matcher: GrammarMatcher,
  vocabulary: GrammarVocabulary,
  random: Random,
  maxTokens: number
): { text: string; finished: boolean } {
  const out: number[] = []
  for (let count = 0; count < maxTokens; count++) {
    const mask = matcher.mask()
    const allowed: number[] = []
    for (let token = 0; token < vocabulary.size; token++) if (allows(mask, token)) allowed.push(token)
    if (allowed.length === 0) throw new Error('The mask allows nothing')
    const ends = allowed.filter((token) => vocabulary.endTokens.has(token))
    // A text that may end does so every third time, and near the limit always.
    const end = ends.length > 0 && random.next() < (count > maxTokens / 2 ? 1 : 0.3)
    const pool = end ? ends : allowed
    const token = pool[Math.floor(random.next() * pool.length)] as number
    matcher.accept(token)
    if (vocabulary.endTokens.has(token)) return { text: decode(out), finished: true }
    if (vocabulary.isControl(token)) throw new Error(`The mask allows the control token ${token}`)
    out.push(...vocabulary.bytes(token))
  }
  return { text: decode(out), finished: false }
}

/** Text of bytes that have to be UTF-8 as far as they go. */
function decode(bytes: readonly number[]): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes), {
    stream: true
  })
}

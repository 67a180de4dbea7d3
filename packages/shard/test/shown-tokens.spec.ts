import type { TokenLogprobs } from '@kwaai/interface'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAnswerText, type AnswerPiece } from '../src/generate/answer-text.ts'
import { createDetokenizer } from '../src/generate/index.ts'
import type { CallTags } from '../src/generate/tool-call-text.ts'
import { createUtf8Units } from '../src/generate/utf8-units.ts'

const encoder = new TextEncoder()
const joined = (parts: readonly Uint8Array[]): number[] => parts.flatMap((part) => [...part])

/** Bytes in which well-formed and ill-formed characters of every length come up. */
const byte = fc.oneof(
  fc.constantFrom(
    0x61,
    0x62,
    0xc3,
    0xa9,
    0xe2,
    0x82,
    0xac,
    0xf0,
    0x9f,
    0x98,
    0x80,
    0xed,
    0xa0,
    0xe0,
    0xf4,
    0x90
  ),
  fc.integer({ min: 0, max: 255 })
)
const emoji = fc.constantFrom('a', 'b', 'é', '€', '😀').map((text) => [...encoder.encode(text)])
const bytes = fc
  .array(fc.oneof(emoji, fc.array(byte, { maxLength: 3 })), { maxLength: 12 })
  .map((parts) => parts.flat())
/** The same bytes as tokens of any length, none among them. */
const tokens = fc
  .tuple(bytes, fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 60, maxLength: 60 }))
  .map(([all, lengths]) => {
    const parts: Uint8Array[] = []
    let at = 0
    for (const length of lengths) {
      if (at >= all.length) break
      parts.push(Uint8Array.from(all.slice(at, at + length)))
      at += length
    }
    if (at < all.length) parts.push(Uint8Array.from(all.slice(at)))
    return parts
  })

/** An answer of these tokens, piece by piece, with what each token let out. */
function run(
  parts: readonly Uint8Array[],
  {
    stop = [],
    calls,
    logprobs = true
  }: { stop?: readonly string[]; calls?: CallTags; logprobs?: boolean } = {}
): { pieces: AnswerPiece[][]; stopped: boolean } {
  const detokenizer = createDetokenizer((token) => parts[token] as Uint8Array)
  const text = createAnswerText({ stop, calls, logprobs }, { detokenizer, callId: () => 'id' })
  const pieces: AnswerPiece[][] = []
  for (const [token, bytes] of parts.entries()) {
    const told = text.push(token, { token, bytes, logprob: -1, top: [] })
    pieces.push(told.pieces)
    if (told.stopped) return { pieces, stopped: true }
  }
  pieces.push(text.end())
  return { pieces, stopped: false }
}
const textOf = (pieces: readonly AnswerPiece[]): string =>
  pieces.map((piece) => (piece.type === 'text' ? piece.text : '')).join('')
const entriesOf = (pieces: readonly AnswerPiece[]): TokenLogprobs[] =>
  pieces.flatMap((piece) => (piece.type === 'text' ? [...(piece.logprobs ?? [])] : []))

test('bytes fall into characters as TextDecoder has it', () => {
  fc.assert(
    fc.property(bytes, (all) => {
      let text = ''
      let at = 0
      const units = createUtf8Units({
        character(count) {
          text += new TextDecoder('utf-8', { ignoreBOM: true }).decode(
            Uint8Array.from(all.slice(at, at + count))
          )
          at += count
        },
        illFormed(count) {
          text += '\ufffd'
          at += count
        }
      })
      for (const one of all) units.push(one)
      units.end()
      expect(text).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(all)))
      expect(at).toBe(all.length)
    }),
    { numRuns: 2_000 }
  )
})

test('each event has exactly the bytes of its text, whatever the tokens and stop strings', () => {
  const stops = fc.array(fc.constantFrom('ab', 'b', '€', 'a😀', 'aab', '\ufffd'), { maxLength: 3 })
  fc.assert(
    fc.property(tokens, stops, (parts, stop) => {
      const { pieces, stopped } = run(parts, { stop })
      for (const told of pieces) {
        expect(joined(entriesOf(told).map((entry) => entry.bytes))).toEqual([...encoder.encode(textOf(told))])
      }
      // What shows does not depend on whether tokens are told, and every token shows once.
      const plain = run(parts, { stop, logprobs: false })
      expect(textOf(pieces.flat())).toBe(textOf(plain.pieces.flat()))
      expect(stopped).toBe(plain.stopped)
      const shown = entriesOf(pieces.flat()).map(({ token }) => token)
      expect(shown).toEqual([...new Set(shown)].toSorted((a, b) => a - b))
      for (const entry of entriesOf(pieces.flat())) expect(entry.bytes.length).toBeGreaterThan(0)
    }),
    { numRuns: 2_000 }
  )
})

const utf8 = (...texts: string[]): Uint8Array[] => texts.map((text) => encoder.encode(text))

test('a token is told with the event that completes its text', () => {
  const { pieces } = run([
    ...utf8('a '),
    Uint8Array.of(0x62, 0xf0, 0x9f),
    Uint8Array.of(0x98, 0x80),
    ...utf8('c')
  ])
  expect(pieces.map(textOf)).toEqual(['a ', '', 'b😀', 'c', ''])
  expect(pieces.map((told) => entriesOf(told).map(({ token }) => token))).toEqual([[0], [], [1, 2], [3], []])
  expect(entriesOf(pieces.flat()).map((entry) => entry.bytes.length)).toEqual([2, 3, 2, 1])
})

test('of a token that a stop string cuts, the bytes before the cut are told', () => {
  const { pieces, stopped } = run(utf8('one', ' two. E', 'ND three'), { stop: ['END'] })
  expect(stopped).toBe(true)
  expect(pieces.map(textOf)).toEqual(['one', '', ' two. '])
  expect(entriesOf(pieces.flat()).map((entry) => new TextDecoder().decode(entry.bytes))).toEqual([
    'one',
    ' two. '
  ])
})

const calls: CallTags = {
  tags: [
    { name: 'f', begin: '<call>f:', end: '</call>' },
    { name: 'fg', begin: '<call>fg:', end: '</call>' }
  ],
  triggers: ['<call>'],
  required: false,
  leading: false
}

test('text and calls come apart the same way however they are cut into tokens, with the tokens of the text alone', () => {
  const source = 'so: <b <call>f:{"a":"}</call>\\"","b":[1,{}]}</call> and <call>fg:{}</call><cal'
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 80, maxLength: 80 }), (lengths) => {
      const parts: Uint8Array[] = []
      for (let at = 0, i = 0; at < source.length; at += lengths[i++] as number) {
        parts.push(encoder.encode(source.slice(at, at + (lengths[i] as number))))
      }
      const { pieces } = run(parts, { calls })
      expect(textOf(pieces.flat())).toBe('so: <b  and <cal')
      const told = pieces.flat().filter((piece) => piece.type === 'tool-call')
      const args = (call: number): string =>
        told
          .filter((piece) => piece.call === call)
          .map((piece) => piece.arguments)
          .join('')
      expect([args(0), args(1)]).toEqual(['{"a":"}</call>\\"","b":[1,{}]}', '{}'])
      expect(told.filter(({ id }) => id !== undefined).map(({ call, name }) => [call, name])).toEqual([
        [0, 'f'],
        [1, 'fg']
      ])
      for (const events of pieces) {
        expect(joined(entriesOf(events).map((entry) => entry.bytes))).toEqual([
          ...encoder.encode(textOf(events))
        ])
      }
    }),
    { numRuns: 500 }
  )
})

test('stop strings are looked for in the text alone', () => {
  const parts = utf8('a', '<call>f:{"x":"END"}</call>', 'b E', 'ND c')
  const { pieces, stopped } = run(parts, { calls, stop: ['END', 'ab'] })
  expect(stopped).toBe(true)
  expect(textOf(pieces.flat())).toBe('ab ')
  expect(pieces.flat().some((piece) => piece.type === 'tool-call' && piece.arguments === '{"x":"END"}')).toBe(
    true
  )
})

test('what is no call is refused, and where only calls may come nothing else shows', () => {
  expect(() => run(utf8('<call>h:'), { calls })).toThrow(
    expect.objectContaining({ code: 'ERR_GENERATE_FAILED' })
  )
  expect(() => run(utf8('<call>f:{}x'), { calls })).toThrow(
    expect.objectContaining({ code: 'ERR_GENERATE_FAILED' })
  )
  expect(run(utf8('<ca'), { calls: { ...calls, required: true } }).pieces.flat()).toEqual([])
  expect(run(utf8('<call>f:{"a'), { calls }).pieces.flat()).toEqual([
    { type: 'tool-call', call: 0, id: 'id', name: 'f', arguments: '{"a' }
  ])
})

test('where an answer is either calls or text, only a call at its beginning is one', () => {
  const leading: CallTags = { ...calls, leading: true }
  const said = (text: string): unknown[] => {
    const cuts = [1, 3, text.length].map((size) => {
      const parts = utf8(...(text.match(new RegExp(`.{1,${size}}`, 'gsu')) ?? []))
      const pieces = run(parts, { calls: leading }).pieces.flat()
      return [
        textOf(pieces),
        pieces.map((piece) => (piece.type === 'tool-call' ? piece.arguments : '')).join('')
      ]
    })
    for (const cut of cuts) expect(cut).toEqual(cuts[0])
    return cuts[0] as unknown[]
  }
  expect(said('{"x":"<call>f:{}</call>"}')).toEqual(['{"x":"<call>f:{}</call>"}', ''])
  expect(said('<call>f:{"a":1}</call><call>fg:{}</call>')).toEqual(['', '{"a":1}{}'])
  expect(said('<call>h:')).toEqual(['<call>h:', ''])
  expect(said('<call>f')).toEqual(['', ''])
  expect(said('<ca')).toEqual(['<ca', ''])
})

test('telling tokens changes nothing of what shows, where calls, scripts, and cut characters meet in one token', () => {
  const part = fc.oneof(
    fc
      .constantFrom(
        '<call>',
        '<ca',
        'll>',
        'f:{"a":"日😀"}</call>',
        'f:{}</call>',
        'f:',
        'हि',
        'لع',
        '\ufeff',
        '<'
      )
      .map((text) => [...encoder.encode(text)]),
    fc.array(byte, { maxLength: 2 })
  )
  const lengths = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 8, maxLength: 8 })
  const cut = fc.tuple(fc.array(part, { maxLength: 6 }), lengths).map(([parts, sizes]) => {
    const all = parts.flat()
    const out: Uint8Array[] = []
    // The same lengths over and over; after each round one more, so that it gets on.
    for (let at = 0; at < all.length; at++) {
      for (const size of sizes) out.push(Uint8Array.from(all.slice(at, (at += size))))
      out.push(Uint8Array.from(all.slice(at, at + 1)))
    }
    return out
  })
  const stops = fc.array(fc.constantFrom('日', '\ufffd', '<', 'l>', 'a', '"}'), { maxLength: 2 })
  const toRun = (parts: readonly Uint8Array[], options: Parameters<typeof run>[1]): unknown => {
    try {
      return run(parts, options)
    } catch (error) {
      // What is no call fails with and without.
      return error
    }
  }
  fc.assert(
    fc.property(cut, stops, fc.boolean(), fc.boolean(), (parts, stop, required, leading) => {
      const options = { stop, calls: { ...calls, required, leading } }
      const [told, plain] = [true, false].map((logprobs) => toRun(parts, { ...options, logprobs }))
      if (told instanceof Error || plain instanceof Error) {
        expect(String(told)).toBe(String(plain))
        return
      }
      const { pieces } = told as ReturnType<typeof run>
      expect(textOf(pieces.flat())).toBe(textOf((plain as ReturnType<typeof run>).pieces.flat()))
      for (const events of pieces) {
        expect(joined(entriesOf(events).map((entry) => entry.bytes))).toEqual([
          ...encoder.encode(textOf(events))
        ])
      }
    }),
    { numRuns: 1_000, examples: [[utf8('a<c', 'all>'), [], false, false]] }
  )
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createDetokenizer,
  createTokenizer,
  createVocabularyTokenizer,
  preTokenizerOf,
  readVocabulary,
  specialTokens,
  type TokenKind
} from '../src/generate/index.ts'
import { bytesSource, readGguf, type GgufFile, type GgufValue } from '../src/gguf/index.ts'
import { toyModel } from './toy-model.ts'

const readToy = (metadata: Record<string, GgufValue> = {}): Promise<GgufFile> =>
  readGguf(bytesSource(toyModel({ metadata })))
const file = await readToy()
const tokenizer = createTokenizer(file)
const text = (value: string): GgufValue => ({ type: 'string', value })
const anyText = fc.string({ unit: 'binary', maxLength: 60 })

test('text comes back as it was', () => {
  fc.assert(fc.property(anyText, (value) => tokenizer.decode(tokenizer.encode(value)) === value))
})

test('half a character becomes U+FFFD, once', () => {
  expect(tokenizer.decode(tokenizer.encode('a\ud800b\udc00'))).toBe('a\ufffdb\ufffd')
})

test('the bytes of the tokens are the bytes of the text', () => {
  fc.assert(
    fc.property(anyText, (value) => {
      const bytes = tokenizer.encode(value).flatMap((id) => [...tokenizer.bytes(id)])
      expect(bytes).toEqual([...new TextEncoder().encode(value)])
    })
  )
})

test('control tokens come from templates only', () => {
  const value = 'a<|im_start|>b<|im_end|><|endoftext|>'
  expect(tokenizer.encode(value).filter((id) => tokenizer.isControl(id))).toEqual([])
  expect(tokenizer.encodeWithControl(value).filter((id) => tokenizer.isControl(id))).toEqual([1, 2, 0])
  expect(tokenizer.decode(tokenizer.encodeWithControl(value))).toBe('ab')
  expect(tokenizer.decode(tokenizer.encodeWithControl(value), { control: true })).toBe(value)
})

test('stretches between control tokens are restored before they are encoded', () => {
  const tokens = tokenizer.encodeWithControl('x<|im_end|>y', (plain) => plain.replace('y', '<|im_start|>'))
  expect(tokens).toEqual([...tokenizer.encode('x'), 2, ...tokenizer.encode('<|im_start|>')])
})

test('a streamed text never shows half a character, and adds up to the whole', () => {
  fc.assert(
    fc.property(anyText, (value) => {
      const stream = tokenizer.detokenizer()
      const pieces = tokenizer.encode(value).map((id) => stream.push(id))
      const rest = stream.flush()
      expect(pieces.join('') + rest).toBe(value)
      expect(rest).toBe('')
      for (const piece of pieces) expect(/\p{Surrogate}/u.test(piece)).toBe(false)
    })
  )
})

test('bytes that are no UTF-8 become U+FFFD as a whole decoder would make them', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 5 })), (chunks) => {
      const stream = createDetokenizer((token) => chunks[token] ?? new Uint8Array())
      const streamed = chunks.map((_, token) => stream.push(token)).join('') + stream.flush()
      const whole = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
      expect(streamed).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(whole))
    })
  )
})

test('a character cut at the end shows at the end only', () => {
  const euro = [...new TextEncoder().encode('€')]
  const stream = createDetokenizer((token) => Uint8Array.of(euro[token] as number))
  expect([stream.push(0), stream.push(1)]).toEqual(['', ''])
  expect(stream.flush()).toBe('\ufffd')
})

test('a first token is named only where the model wants one', async () => {
  expect(tokenizer.firstToken).toBe(undefined)
  const wanted = await readToy({ 'tokenizer.ggml.add_bos_token': { type: 'bool', value: true } })
  expect(createTokenizer(wanted).firstToken).toBe(1)
})

test('user-defined tokens are found in plain text, the longest first', () => {
  const vocabulary = readVocabulary(file)
  const [a, b] = [vocabulary.tokens.length, vocabulary.tokens.length + 1]
  const extended = createVocabularyTokenizer({
    ...vocabulary,
    tokens: [...vocabulary.tokens, '<think>', '<think>s'],
    kinds: [...vocabulary.kinds, 'user-defined', 'user-defined']
  })
  expect(extended.encode('<think>x<think>s')).toEqual([a, ...extended.encode('x'), b])
  expect(extended.decode([a, b])).toBe('<think><think>s')
})

test.each([
  ['tokenizer.ggml.pre', text('no-such-thing'), 'no-such-thing'],
  ['tokenizer.ggml.pre', text('__proto__'), '__proto__'],
  ['tokenizer.ggml.model', text('llama'), '"llama"'],
  ['tokenizer.ggml.model', text('bert'), '"bert"']
])('%s %j is refused by name', async (key, value, name) => {
  const other = await readToy({ [key]: value })
  expect(() => createTokenizer(other)).toThrow(
    expect.objectContaining({ code: 'ERR_TOKENIZER_UNSUPPORTED', message: expect.stringContaining(name) })
  )
})

test.each<[string, Record<string, GgufValue>]>([
  [
    'two tokens alike',
    {
      'tokenizer.ggml.tokens': {
        type: 'array',
        of: 'string',
        length: 300,
        value: Array.from({ length: 300 }, () => 'x')
      }
    }
  ],
  ['other counts', { 'tokenizer.ggml.token_type': { type: 'array', of: 'int32', length: 1, value: [1] } }],
  [
    'a merge of one part',
    { 'tokenizer.ggml.merges': { type: 'array', of: 'string', length: 1, value: ['ab'] } }
  ],
  [
    'a first token that is none',
    {
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
      'tokenizer.ggml.bos_token_id': { type: 'uint32', value: 70_000 }
    }
  ]
])('a vocabulary that contradicts itself is refused: %s', async (_, metadata) => {
  const other = await readToy(metadata)
  expect(() => createTokenizer(other)).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER_INVALID' }))
})

test('a wrong type in the metadata is a typed error', async () => {
  const other = await readToy({ 'tokenizer.ggml.tokens': text('x') })
  expect(() => createTokenizer(other)).toThrow(expect.objectContaining({ code: 'ERR_GGUF_MISSING_METADATA' }))
})

const ends = (tokens: string[], ids: Record<string, number> = {}): number[] => {
  const kinds = tokens.map((): TokenKind => 'control')
  return [...specialTokens(tokens, kinds, (role) => ids[role]).endTokens].toSorted((a, b) => a - b)
}

test('end tokens are found by their ids and by their texts', () => {
  expect(ends(['a', 'b', 'c'], { eos: 1, eot: 2 })).toEqual([1, 2])
  expect(ends(['<|eot_id|>', '<|end_of_text|>', '<|im_end|>', '<end_of_turn>', 'x'])).toEqual([0, 1, 2, 3])
  expect(ends(['<|fim_pad|>', '<|repo_name|>', '<|file_sep|>', '<|fim_prefix|>'])).toEqual([0, 1, 2])
  expect(ends(['<PAD>', '[PAD]', 'own'], { fim_pad: 2 })).toEqual([2])
})

test('an end that only parts an answer is none', () => {
  expect(ends(['<|end|>', '<|return|>', '<|call|>'])).toEqual([1, 2])
  expect(ends(['<|end|>', '<|call|>'])).toEqual([0, 1])
  expect(ends(['</s>', '<|tool_response>'])).toEqual([1])
})

test('tokens whose texts tell what they are become control tokens', () => {
  const { kinds } = specialTokens(
    ['<|im_end|>', '<fim_prefix>', 'x'],
    ['normal', 'user-defined', 'normal'],
    () => undefined
  )
  expect(kinds).toEqual(['control', 'control', 'normal'])
})

test('pre-tokenizers name their patterns', () => {
  expect(preTokenizerOf('smollm').patterns).toHaveLength(2)
  expect(preTokenizerOf('llama-bpe')).toMatchObject({ ignoreMerges: true, addBos: true })
})

import { KwaaiError } from '@kwaai/interface'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createWordPieceTokenizer } from '../src/encoder/index.ts'
import { toyTokenizer } from './encoder-toy.ts'

const tokenizer = createWordPieceTokenizer(toyTokenizer())

test.each([
  ['', []],
  ['   \n', []],
  ['A CAT, on the mats', [5, 6, 11, 7, 8, 9, 10]],
  ['a dog', [5, 1]],
  ['ca\u0301t', [6]],
  // Nothing is cut and nothing filled up, whatever tokenizer.json says of 3 and 9.
  ['cat cat cat cat cat', [6, 6, 6, 6, 6]],
  ['a [SEP] cat[PAD]', [5, 3, 6, 0]],
  ['constructor __proto__', [1, 1, 1, 1, 1, 1]],
  ['\ud800cat', [6]],
  ['x'.repeat(101), [1]]
])('%j', (text, ids) => {
  expect(tokenizer.encode(text)).toEqual(ids)
})

test('an encoder reads a frame around them', () => {
  expect(tokenizer.framed([6, 7])).toEqual([2, 6, 7, 3])
  expect(tokenizer.framed([])).toEqual([2, 3])
  expect(tokenizer.vocabularySize).toBe(12)
})

test('parts of a text have the tokens of the text, whatever stands at a cut', () => {
  const piece = fc.constantFrom(
    ' ',
    '  ',
    'cat',
    'mats',
    'a',
    '[SEP]',
    ',',
    '\u0301',
    '\u03a3',
    '\u6211',
    '\n',
    'dog'
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (pieces, length) => {
      const text = pieces.join('')
      const parts = [...tokenizer.parts(text, length)]
      expect(parts.join('')).toBe(text)
      expect(parts).not.toContain('')
      expect(parts.flatMap((part) => tokenizer.encode(part))).toEqual(tokenizer.encode(text))
    })
  )
  expect([...tokenizer.parts('a cat on the mat', 6)]).toEqual(['a cat', ' on', ' the', ' mat'])
  expect([...tokenizer.parts('xxxxxxxxxx a', 3)]).toEqual(['xxxxxxxxxx', ' a'])
  expect([...tokenizer.parts('', 3)]).toEqual([])
})

describe('other tokenizers are refused', () => {
  type Files = ReturnType<typeof toyTokenizer>
  const refusal = (change: (files: Files) => void): string => {
    const files = toyTokenizer()
    change(files)
    try {
      createWordPieceTokenizer(files)
    } catch (error) {
      return KwaaiError.is(error) ? `${error.code}: ${error.message}` : String(error)
    }
    return 'accepted'
  }
  const model = (files: Files): Record<string, unknown> => files.tokenizer['model'] as Record<string, unknown>

  test.each<[string, (files: Files) => void, RegExp]>([
    ['another model', (f) => (model(f)['type'] = 'BPE'), /UNSUPPORTED: .*its model is BPE/],
    ['no type', (f) => delete model(f)['type'], /UNSUPPORTED: .*its model is undefined/],
    [
      'another normalizer',
      (f) => (f.tokenizer['normalizer'] = { type: 'NFC' }),
      /UNSUPPORTED: .*its normalizer is NFC/
    ],
    ['another cutter', (f) => (f.tokenizer['pre_tokenizer'] = { type: 'Split' }), /UNSUPPORTED: .*is Split/],
    ['no normalizer', (f) => (f.tokenizer['normalizer'] = null), /INVALID: .*normalizer is no object/],
    ['no vocabulary', (f) => (model(f)['vocab'] = []), /INVALID: .*vocab is no object/],
    ['an id that is none', (f) => (model(f)['vocab'] = { cat: -1 }), /INVALID: .*no text with an id/],
    ['one id for two', (f) => (model(f)['vocab'] = { cat: 1, dog: 1 }), /INVALID: .*one id/],
    ['no [CLS]', (f) => (f.tokenizerConfig['cls_token'] = '[BOS]'), /INVALID: .*no cls_token/],
    [
      'a [SEP] that is a number',
      (f) => (f.tokenizerConfig['sep_token'] = 3),
      /INVALID: .*sep_token is no object/
    ],
    ['added tokens that are none', (f) => (f.tokenizer['added_tokens'] = 'x'), /INVALID: .*no list/],
    [
      'an added token without id',
      (f) => (f.tokenizer['added_tokens'] = [{}]),
      /INVALID: .*no text with an id/
    ]
  ])('%s', (_, change, why) => {
    expect(refusal(change)).toMatch(why)
  })

  test.each([[null], ['{}'], [[]], [undefined]])('files that are %j', (tokenizerJson) => {
    expect(refusal((files) => Object.assign(files, { tokenizer: tokenizerJson }))).toMatch(
      /ERR_TOKENIZER_INVALID/
    )
  })

  test('a special token may be an object with its content', () => {
    expect(refusal((files) => (files.tokenizerConfig['cls_token'] = { content: '[CLS]' }))).toBe('accepted')
  })
})

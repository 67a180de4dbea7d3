import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import {
  createPhrase,
  deriveSeed,
  identityFromPhrase,
  type KeyPurpose,
  PHRASE_WORDS,
  phraseFromRoot,
  rootFromPhrase
} from '../src/phrase/index.ts'
import { fromHex, toHex } from './hex.ts'
import vectors from './vectors/phrase.json' with { type: 'json' }

const root = fromHex(vectors.derived.root)
const phrase = phraseFromRoot(root)

function refusal(call: () => unknown): { code: string; message: string; details: { position?: number } } {
  try {
    call()
  } catch (error) {
    return error as { code: string; message: string; details: { position?: number } }
  }
  throw new Error('nothing was refused')
}

test.each(vectors.bip39.vectors)('BIP-39: $entropy', ({ entropy, phrase: words }) => {
  expect(phraseFromRoot(fromHex(entropy))).toBe(words)
  expect(toHex(rootFromPhrase(words))).toBe(entropy)
})

test.each(vectors.derived.seeds)(
  'the key $index of the purpose $purpose is always the same',
  ({ purpose, index, seed }) => {
    expect(toHex(deriveSeed(root, purpose as KeyPurpose, index))).toBe(seed)
  }
)

test('property: root and phrase hold the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const words = phraseFromRoot(bytes)
      expect(words.split(' ').length).toBe(PHRASE_WORDS)
      expect(rootFromPhrase(words)).toEqual(bytes)
    }),
    { numRuns: 50 }
  )
})

test('a new phrase comes from the given randomness, and two are different', () => {
  const random = { bytes: () => root, next: () => 0 }
  expect(createPhrase({ random })).toBe(phrase)
  expect(createPhrase()).not.toBe(createPhrase())
})

test('how it is typed makes no difference', () => {
  const wide = phrase.replace(/[a-z]/g, (letter) => String.fromCodePoint(letter.charCodeAt(0) + 0xfee0))
  for (const typed of [phrase.toUpperCase(), ` ${phrase.replaceAll(' ', '\u3000\n\t ')} \r\n`, wide])
    expect(rootFromPhrase(typed)).toEqual(root)
})

test('identities of a phrase: by purpose and index, and no other', async () => {
  const node = identityFromPhrase(phrase)
  expect(node.did).toBe(createIdentity({ seed: deriveSeed(root, 'node', 0) }).did)
  expect(identityFromPhrase(phrase, { purpose: 'controller', index: 1 }).exportSeed()).toEqual(
    deriveSeed(root, 'controller', 1)
  )
  expect(refusal(() => identityFromPhrase(phrase, { purpose: 'encryption' as never })).code).toBe(
    'ERR_IDENTITY_INVALID_DERIVATION'
  )
})

test('a wrong phrase says where, and never what', () => {
  const words = phrase.split(' ')
  const typo = words.with(6, 'abandonn')
  const wrong = refusal(() => rootFromPhrase(typo.join(' ')))
  expect(wrong.code).toBe('ERR_IDENTITY_INVALID_PHRASE')
  expect(wrong.details).toEqual({ position: 7 })
  const swapped = refusal(() => rootFromPhrase([words[1], words[0], ...words.slice(2)].join(' ')))
  expect(swapped.details).toEqual({})
  const short = refusal(() => rootFromPhrase(words.slice(1).join(' ')))
  expect(short.message).toContain('23 words')
  const none = refusal(() => rootFromPhrase(''))
  expect(none.message).toContain('0 words')
  const long = refusal(() => rootFromPhrase(`${phrase}${' '.repeat(1000)}`))
  for (const { code, message } of [wrong, swapped, short, none, long]) {
    expect(code).toBe('ERR_IDENTITY_INVALID_PHRASE')
    for (const word of [...words, 'abandonn']) expect(message.split(/\W+/)).not.toContain(word)
  }
})

test('nothing is derived for an unknown purpose, another index or another length', () => {
  for (const [call, code] of [
    [() => deriveSeed(root, 'other' as never), 'ERR_IDENTITY_INVALID_DERIVATION'],
    [() => deriveSeed(root, 'node', -1), 'ERR_IDENTITY_INVALID_DERIVATION'],
    [() => deriveSeed(root, 'node', 1.5), 'ERR_IDENTITY_INVALID_DERIVATION'],
    [() => deriveSeed(root, 'node', 2 ** 31), 'ERR_IDENTITY_INVALID_DERIVATION'],
    [() => deriveSeed(root.subarray(1), 'node'), 'ERR_IDENTITY_INVALID_SEED'],
    [() => phraseFromRoot(root.subarray(16)), 'ERR_IDENTITY_INVALID_SEED']
  ] as const)
    expect(refusal(call).code).toBe(code)
})

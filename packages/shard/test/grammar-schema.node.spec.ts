// In Node.js only, as ajv makes its checks by eval.
import { expect, test } from 'vitest'
import { createTokenizer } from '../src/generate/index.ts'
import { fileSource, readGguf } from '../src/gguf/index.ts'
import { smallVocabulary } from './grammar-kit.ts'
import { walkSchemas } from './grammar-properties.ts'
import { randomSchema } from './grammar-schemas.ts'
import { soupSchema } from './grammar-soup.ts'

test('what takes a random way through the masks of a random schema is valid', async () => {
  const tally = await walkSchemas(smallVocabulary(), randomSchema, { schemas: 30, runs: 3, maxTokens: 400 })
  expect(tally.wrong).toEqual([])
  expect(tally.finished).toBeGreaterThan(60)
})

test('the same with the vocabulary of the default model', async () => {
  const file = await fileSource(process.env['KWAAI_MODEL_PATH'] as string)
  const tokenizer = createTokenizer(await readGguf(file))
  await file.close()
  const vocabulary = {
    size: tokenizer.vocabularySize,
    bytes: tokenizer.bytes,
    endTokens: tokenizer.endTokens,
    isControl: tokenizer.isControl
  }
  const tally = await walkSchemas(vocabulary, randomSchema, { schemas: 6, runs: 1, maxTokens: 300 })
  expect(tally.wrong).toEqual([])
  expect(tally.finished).toBeGreaterThan(3)
})

test('keywords thrown together are refused, or what follows them is valid', async () => {
  const tally = await walkSchemas(smallVocabulary(), soupSchema, { schemas: 400, runs: 2, maxTokens: 100 })
  expect(tally.wrong).toEqual([])
  expect(tally.refused).toBeLessThan(250)
  expect(tally.finished).toBeGreaterThan(200)
})

import { expect, test } from 'vitest'
import { smallVocabulary } from './grammar-kit.ts'
import { walkSchemas } from './grammar-properties.ts'
import { randomSchema } from './grammar-schemas.ts'
import { soupSchema } from './grammar-soup.ts'

test('what takes a random way through the masks of 1,500 random schemas is valid', async () => {
  const tally = await walkSchemas(smallVocabulary(), randomSchema, { schemas: 1500, runs: 3, maxTokens: 500 })
  expect(tally.wrong).toEqual([])
  expect(tally.finished).toBeGreaterThan(3500)
})

test('20,000 schemas of keywords thrown together are refused, or what follows them is valid', async () => {
  const tally = await walkSchemas(smallVocabulary(), soupSchema, { schemas: 20_000, runs: 3, maxTokens: 100 })
  expect(tally.wrong).toEqual([])
  expect(tally.finished).toBeGreaterThan(15_000)
})

import { expect, test } from 'vitest'
import { smallVocabulary } from './grammar-kit.ts'
import { walkSchemas } from './grammar-properties.ts'

test('what takes a random way through the masks of 1,500 random schemas is valid', async () => {
  const tally = await walkSchemas(smallVocabulary(), 'deep', { schemas: 1500, runs: 3, maxTokens: 500 })
  expect(tally.wrong).toEqual([])
  expect(tally.finished).toBeGreaterThan(3500)
})

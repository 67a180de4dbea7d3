import fc from 'fast-check'
import { expect, test } from 'vitest'
import { logProbabilities } from '../src/generate/logprobs.ts'

const logit = fc.oneof(
  fc.integer({ min: -6, max: 6 }),
  fc.float({ min: -60, max: 60, noNaN: true }),
  fc.constant(-Infinity)
)
const logits = fc
  .array(logit, { minLength: 1, maxLength: 60 })
  .filter((values) => values.some((value) => value > -Infinity))
  .map((values) => Float32Array.from(values))

test('logarithms of probabilities add up to one, and the likeliest are those of a full sort', () => {
  fc.assert(
    fc.property(logits, fc.integer({ min: 0, max: 20 }), (values, count) => {
      const { of, top } = logProbabilities(values, count)
      const all = [...values].map((_, token) => ({ token, logprob: of(token) }))
      expect(all.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 9)
      for (const { logprob } of all) expect(logprob).toBeLessThanOrEqual(0)
      const sorted = all
        .filter(({ logprob }) => logprob > -Infinity)
        .toSorted((a, b) => (values[b.token] as number) - (values[a.token] as number) || a.token - b.token)
      expect(top).toEqual(sorted.slice(0, count))
    }),
    { numRuns: 1_000 }
  )
})

test('logits far from zero lose nothing', () => {
  const { of } = logProbabilities(Float32Array.of(1e30, 1e30, -1e30), 1)
  expect(of(0)).toBeCloseTo(Math.log(0.5), 9)
  expect(of(2)).toBeLessThan(-1e29)
  expect(of(7)).toBe(-Infinity)
})

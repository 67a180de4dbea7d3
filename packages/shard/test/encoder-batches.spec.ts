import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encoderInput, planBatches } from '../src/encoder/batches.ts'

test('texts of near lengths go together', () => {
  expect(planBatches([3, 9, 4, 8, 3], 18)).toEqual([
    { rows: [0, 4, 2], tokens: 4 },
    { rows: [3, 1], tokens: 9 }
  ])
  expect(planBatches([], 8)).toEqual([])
  expect(planBatches([9, 9], 8)).toEqual([
    { rows: [0], tokens: 9 },
    { rows: [1], tokens: 9 }
  ])
})

test('every text is in one batch, none is larger than allowed, each is as long as its longest', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 64 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 256 }),
      (lengths, most) => {
        const batches = planBatches(lengths, most)
        expect(batches.flatMap(({ rows }) => rows).toSorted((a, b) => a - b)).toEqual(
          lengths.map((_, i) => i)
        )
        for (const { rows, tokens } of batches) {
          expect(tokens).toBe(Math.max(...rows.map((row) => lengths[row] as number)))
          if (rows.length > 1) expect(rows.length * tokens).toBeLessThanOrEqual(most)
        }
      }
    )
  )
})

test('the mask tells padding, also where a text holds token 0', () => {
  const input = encoderInput({ rows: [2, 0], tokens: 4 }, [[7, 0, 8], [], [7, 0, 0, 8]])
  expect(input).toEqual({
    ids: BigInt64Array.of(7n, 0n, 0n, 8n, 7n, 0n, 8n, 0n),
    mask: BigInt64Array.of(1n, 1n, 1n, 1n, 1n, 1n, 1n, 0n),
    rows: 2,
    tokens: 4
  })
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { promptKernel, usableRows, worthTaking } from '../src/generate/held-rows.ts'

// Few different tokens and lengths about 64, so that both kernels and long common beginnings happen.
const tokens = fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 140 })
const heldRows = fc
  .tuple(tokens, fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([row, part]) => ({ tokens: row, tileRows: Math.floor(part * row.length) }))
const related = fc
  .tuple(heldRows, fc.nat(140), fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 70 }))
  .map(([held, cut, more]) => ({ held, prompt: [...held.tokens.slice(0, cut), ...more] }))

test('64 tokens and more are tile', () => {
  expect([1, 63, 64, 65].map(promptKernel)).toEqual(['vec', 'vec', 'tile', 'tile'])
})

test('usable rows are the longest beginning of equal tokens and of the kernel, all but the last row at most', () => {
  fc.assert(
    fc.property(related, ({ held, prompt }) => {
      const kernelOf = (row: number): string => (row < held.tileRows ? 'tile' : 'vec')
      const fits = (row: number): boolean =>
        row < held.tokens.length &&
        row < prompt.length - 1 &&
        held.tokens[row] === prompt[row] &&
        kernelOf(row) === promptKernel(prompt.length)
      let rows = 0
      while (fits(rows)) rows++
      expect(usableRows(held, prompt)).toBe(rows)
    }),
    { numRuns: 1_000 }
  )
})

test('a prompt takes rows where it loses no more than it gains', () => {
  const long = Array.from({ length: 100 }, (_, i) => i)
  const held = { tokens: [...long, ...long], tileRows: 100 }
  // What no prompt of the kernel could use is not lost: the answer after the prompt.
  expect(worthTaking(held, long, 99)).toBe(true)
  expect(worthTaking(held, long, 50)).toBe(true)
  expect(worthTaking(held, long, 49)).toBe(false)
  const short = { tokens: long.slice(0, 40), tileRows: 0 }
  expect(worthTaking(short, long.slice(0, 50), 20)).toBe(true)
  expect(worthTaking(short, long.slice(0, 50), 19)).toBe(false)
})

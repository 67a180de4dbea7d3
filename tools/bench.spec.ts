import { expect, test } from 'vitest'
import { parseResult, table } from './bench.ts'

const rows = [
  { name: 'decode | 128', unit: 'tokens/s', ours: 41.23, theirs: 50.1, ratio: 0.823, atLeast: 0.6 },
  { name: 'prefill', unit: 'tokens/s', ours: 1234.5, theirs: 1300, ratio: 0.95 }
]
const result = { question: 'How fast?', peer: 'llama.cpp', rows }

test('the table of results has a line for each row, with ratio and aim', () => {
  expect(table({ toy: result }).split('\n').slice(2)).toEqual([
    '| [toy](toy/) | decode \\| 128 | tokens/s | llama.cpp | 41.2 | 50.1 | **0.82** | ≥ 0.6 |',
    '| [toy](toy/) | prefill | tokens/s | llama.cpp | 1235 | 1300 | **0.95** |  |'
  ])
})

test('a result is read with all it carries', () => {
  expect(parseResult(JSON.stringify({ ...result, cores: 2 }))).toEqual({ ...result, cores: 2 })
})

test.each([
  ['no JSON', 'done'],
  ['no rows', JSON.stringify({ question: 'How fast?', peer: 'llama.cpp' })],
  ['a figure that is none', JSON.stringify({ ...result, rows: [{ ...rows[0], ours: null }] })]
])('a result with %s is refused', (_, line) => {
  expect(() => parseResult(line)).toThrow()
})

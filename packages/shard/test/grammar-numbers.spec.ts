import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAutomaton } from '../src/grammar/automaton.ts'
import { compileProgram } from '../src/grammar/program.ts'
import { defaultGrammarLimits } from '../src/grammar/limits.ts'
import { numberRangeText, type NumberRange } from '../src/grammar/number-range.ts'

const encoder = new TextEncoder()

/** Tells of a range which texts it has; undefined where it is refused. */
function texts(range: NumberRange): ((text: string) => boolean) | undefined {
  const root = numberRangeText(range)
  if (root === undefined) return undefined
  const program = compileProgram({ root: 'root', rules: new Map([['root', root]]) }, 100_000)
  if ('problem' in program) return () => false
  const automaton = createAutomaton(program, defaultGrammarLimits)
  return (text) => {
    let state: typeof automaton.start | null = automaton.start
    for (const byte of encoder.encode(text)) {
      state = automaton.step(state, automaton.classOf[byte] as number)
      if (state === null) return false
    }
    return state.accepting
  }
}

const inside = ({ min, max, minExclusive, maxExclusive, integer }: NumberRange, value: number): boolean =>
  (minExclusive ? value > min : value >= min) &&
  (maxExclusive ? value < max : value <= max) &&
  (!integer || Number.isInteger(value))

const bound = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc.integer({ min: -3000, max: 3000 }).map((value) => value / 100),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((value) => Number(value.toPrecision(6))),
  fc.constantFrom(0, -0, 1e9, -1e12, 0.1, 0.3, 2 ** 53, -Infinity, Infinity)
)
const range = fc.record({
  min: bound.map((value) => (value === Infinity ? 0 : value)),
  max: bound.map((value) => (value === -Infinity ? 0 : value)),
  minExclusive: fc.boolean(),
  maxExclusive: fc.boolean(),
  integer: fc.boolean()
})

test('a range has the texts of its own numbers alone, and has them all in plain digits', () => {
  const number = fc.oneof(
    fc.integer({ min: -4000, max: 4000 }).map((value) => value / 10),
    fc.integer({ min: -400_000, max: 400_000 }).map((value) => value / 1000),
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    fc.integer()
  )
  fc.assert(
    fc.property(range, fc.array(number, { minLength: 20, maxLength: 20 }), (numbers, values) => {
      const has = texts(numbers)
      if (has === undefined) return
      const near = [numbers.min, numbers.max].filter(Number.isFinite)
      for (const value of [...values, ...near, ...near.flatMap((each) => [each - 0.5, each + 1, each - 1])]) {
        const text = String(value)
        if (/e/.test(text)) continue
        const fits = inside(numbers, value) && !Object.is(value, -0)
        const short = /^-?\d{1,15}(\.\d{1,1})?$/.test(text)
        if (has(text)) expect(inside(numbers, value), `${text} is out`).toBe(true)
        else if (short) expect(fits, `${text} is in`).toBe(false)
      }
    }),
    { seed: 5, numRuns: 300 }
  )
})

test('whatever a text of digits is rounded to is within the range', () => {
  const digits = fc.tuple(
    fc.constantFrom('', '-'),
    fc.stringMatching(/^(0|[1-9]\d{0,16})$/),
    fc.stringMatching(/^(\.\d{1,25})?$/)
  )
  fc.assert(
    fc.property(range, fc.array(digits, { minLength: 30, maxLength: 30 }), (numbers, list) => {
      const has = texts(numbers)
      for (const parts of list) {
        const text = parts.join('')
        if (has?.(text) === true) expect(inside(numbers, Number(text)), text).toBe(true)
      }
    }),
    { seed: 6, numRuns: 300 }
  )
})

test('bounds that a text could be rounded over are kept', () => {
  const one = texts({ min: 0, max: 1, minExclusive: true, maxExclusive: true, integer: false })
  expect(one?.('0.999999999')).toBe(true)
  expect(one?.(`0.${'9'.repeat(20)}`)).toBe(false)
  expect(one?.(`0.${'0'.repeat(20)}1`)).toBe(false)
  const sum = 0.1 + 0.2
  const above = texts({ min: sum, max: Infinity, minExclusive: true, maxExclusive: false, integer: false })
  for (const text of ['0.3', '0.30000000000000004', '0.30000000000000005']) {
    if (above?.(text) === true) expect(Number(text)).toBeGreaterThan(sum)
  }
  expect(above?.('0.4')).toBe(true)
})

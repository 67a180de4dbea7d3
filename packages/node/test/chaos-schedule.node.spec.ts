import { expect, test } from 'vitest'
import fc from 'fast-check'
import { layouts } from './chaos/fleet.ts'
import { createCallerScript, createSchedule, type Fault } from './chaos/schedule.ts'

const take = (next: () => Fault, count: number): Fault[] => Array.from({ length: count }, next)

test('a seed decides all: what, whom, when, and what the callers ask', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const [one, two] = [createSchedule(seed, 5), createSchedule(seed, 5)]
      const soft = take(one.soft, 20)
      expect(take(two.hard, 20)).toEqual(take(one.hard, 20))
      // The rows do not depend on each other.
      expect(take(two.soft, 20)).toEqual(soft)
      const [first, again] = [createCallerScript(seed, 3, 20), createCallerScript(seed, 3, 20)]
      for (let index = 0; index < 20; index++) expect(again()).toEqual(first())
      expect(take(createSchedule(seed + 1, 5).hard, 20)).not.toEqual(take(createSchedule(seed, 5).hard, 20))
    }),
    { numRuns: 50 }
  )
})

test('every kind of fault comes, to servers that are there, for seconds', () => {
  const { hard, soft } = createSchedule(7, 5)
  const faults = [...take(hard, 300), ...take(soft, 300)]
  expect([...new Set(faults.map(({ kind }) => kind))].toSorted()).toEqual([
    'cut',
    'delay',
    'delay-all',
    'drain',
    'drop',
    'duplicate',
    'kill',
    'partition',
    'stop'
  ])
  for (const { kind, whom, forMs, afterMs } of faults) {
    expect(new Set(whom).size).toBe(whom.length)
    for (const index of whom) {
      expect(index).toBeLessThan(['delay', 'drop', 'duplicate', 'cut'].includes(kind) ? 6 : 5)
    }
    expect(forMs).toBeLessThan(13_000)
    expect(afterMs).toBeGreaterThan(0)
  }
  const two = faults.filter(({ whom }) => whom.length === 2).length
  expect(two).toBeGreaterThan(10)
  expect(two).toBeLessThan(60)
})

test('each block has two servers, and each layout has two covers without a server in common', () => {
  for (const spans of Object.values(layouts)) {
    expect(spans.length).toBe(5)
    for (let block = 0; block < 30; block++) {
      expect(spans.filter(([from, to]) => from <= block && block < to).length).toBeGreaterThanOrEqual(2)
    }
    const covers = (at: number, used: readonly number[]): number[][] =>
      at === 30
        ? [[...used]]
        : spans.flatMap(([from, to], index) => (from === at ? covers(to, [...used, index]) : []))
    const all = covers(0, [])
    expect(all.some((one) => all.some((other) => one.every((index) => !other.includes(index))))).toBe(true)
  }
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRoundTrips } from '../src/round-trips.ts'

test('one slow answer does not put a peer far away, and a way that got longer is believed', () => {
  const trips = createRoundTrips()
  expect(trips.least('a')).toBeUndefined()
  for (const rttMs of [0.4, 241, 0.6]) trips.add('a', rttMs)
  expect(trips.least('a')).toBe(0.4)
  for (let i = 0; i < 8; i++) trips.add('a', 80 + i)
  expect(trips.least('a')).toBe(80)
})

test('is the least of the last eight that differ from the one before, for each peer alone', () => {
  const measurement = fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 0, max: 5 }))
  fc.assert(
    fc.property(fc.array(measurement, { maxLength: 60 }), (measurements) => {
      const trips = createRoundTrips()
      const seen: Record<string, number[]> = { a: [], b: [] }
      for (const [peer, rttMs] of measurements) {
        trips.add(peer, rttMs)
        if (seen[peer]?.at(-1) !== rttMs) seen[peer]?.push(rttMs)
      }
      for (const peer of ['a', 'b']) {
        const last = seen[peer]?.slice(-8) ?? []
        expect(trips.least(peer)).toBe(last.length === 0 ? undefined : last.toSorted((x, y) => x - y)[0])
      }
    }),
    { seed: 1 }
  )
})

test('forgets a peer that left', () => {
  const trips = createRoundTrips()
  for (const peer of ['a', 'b']) trips.add(peer, 1)
  trips.forget('a')
  expect([trips.least('a'), trips.least('b')]).toEqual([undefined, 1])
})

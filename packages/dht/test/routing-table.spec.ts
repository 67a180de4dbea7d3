import { createSeededRandom } from '@kwaai/testing'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { commonPrefixLength, compareDistance, idOfPeer, randomIdWithPrefix } from '../src/id.ts'
import { createRoutingTable } from '../src/routing-table.ts'

const self = 'self'
const own = idOfPeer(self)
const names = Array.from({ length: 400 }, (_, i) => `peer${i}`)
/** Those that fall into one bucket of the own table. */
const inBucket = (index: number): string[] =>
  names.filter((name) => commonPrefixLength(own, idOfPeer(name)) === index)
const id = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('the XOR metric', () => {
  const big = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)

  test('compares as the numbers do', () => {
    fc.assert(
      fc.property(id, id, id, (target, a, b) => {
        const distance = (big(a) ^ big(target)) - (big(b) ^ big(target))
        expect(Math.sign(compareDistance(target, a, b))).toBe(distance < 0n ? -1 : Number(distance > 0n))
      })
    )
  })

  test('a shared prefix is as long as the XOR leaves it', () => {
    fc.assert(
      fc.property(id, id, (a, b) => {
        expect(commonPrefixLength(a, b)).toBe(256 - (big(a) ^ big(b)).toString(2).replace(/^0$/, '').length)
      })
    )
    expect(commonPrefixLength(own, own)).toBe(256)
  })

  test('a random point in a bucket lies in that bucket', () => {
    const random = createSeededRandom(1)
    for (let prefix = 0; prefix < 256; prefix++) {
      expect(commonPrefixLength(own, randomIdWithPrefix(own, prefix, random))).toBe(prefix)
    }
  })
})

describe('the table', () => {
  test('names the closest of those it holds, no bucket above k, whatever happened before', () => {
    const event = fc.record({
      kind: fc.constantFrom('seen', 'seen', 'seen', 'failed', 'remove'),
      at: fc.nat(399)
    })
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 200 }),
        id,
        fc.integer({ min: 1, max: 5 }),
        (events, target, k) => {
          const table = createRoutingTable({ self, k })
          const answered = new Set<string>()
          for (const { kind, at } of events) {
            const name = names[at] as string
            if (kind === 'seen') answered.add(name)
            table[kind as 'seen'](name)
            if (kind === 'remove') expect(table.knows(name)).toBe(false)
            if (kind === 'seen') expect(table.knows(name)).toBe(true)
          }
          const held = table.peers()
          expect(table.size).toBe(held.length)
          expect(new Set(held).size).toBe(held.length)
          for (const name of held) expect(answered.has(name)).toBe(true)
          const sizes = new Map<number, number>()
          for (const name of held) {
            const bucket = commonPrefixLength(own, idOfPeer(name))
            sizes.set(bucket, (sizes.get(bucket) ?? 0) + 1)
          }
          for (const size of sizes.values()) expect(size).toBeLessThanOrEqual(k)
          expect(table.deepest()).toBe(Math.max(-1, ...sizes.keys()))
          const sorted = held.toSorted((a, b) => compareDistance(target, idOfPeer(a), idOfPeer(b)))
          expect(table.closest(target, 7)).toEqual(sorted.slice(0, 7))
        }
      )
    )
  })

  test('never holds the own peer', () => {
    const table = createRoutingTable({ self, k: 2 })
    table.seen(self)
    expect(table.peers()).toEqual([])
  })

  test('keeps old contacts when a bucket is full, and asks for the one that was silent longest', () => {
    const [a, b, c, d] = inBucket(0) as [string, string, string, string]
    const table = createRoutingTable({ self, k: 2 })
    expect(table.seen(a)).toBe(undefined)
    expect(table.seen(b)).toBe(undefined)
    expect(table.seen(c)).toBe(a)
    expect(table.seen(a)).toBe(undefined)
    expect(table.seen(d)).toBe(b)
    expect(table.peers().toSorted()).toEqual([a, b].toSorted())
    // The latest replacement takes the place of the one that has failed.
    table.failed(b)
    expect(table.peers().toSorted()).toEqual([a, d].toSorted())
    table.remove(a)
    expect(table.peers().toSorted()).toEqual([c, d].toSorted())
  })

  test('bears one failure when nobody waits, and forgets it after an answer', () => {
    const table = createRoutingTable({ self, k: 2 })
    table.seen('a')
    table.failed('a')
    expect(table.has('a')).toBe(true)
    table.seen('a')
    table.failed('a')
    expect(table.has('a')).toBe(true)
    table.failed('a')
    expect(table.has('a')).toBe(false)
  })

  test('ten thousand peers leave it small', () => {
    const table = createRoutingTable({ self, k: 4 })
    for (let i = 0; i < 10_000; i++) table.seen(`many${i}`)
    expect(table.size).toBeLessThanOrEqual(4 * 20)
    expect(table.size).toBeGreaterThan(4 * 9)
  })
})

import type { Did } from '@kwaai/interface'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_QUOTAS, MAX_CLOCK_SKEW_MS, MAX_TTL_MS } from '../src/constants.ts'
import { compareVersions, slotOf, type SignedRecord } from '../src/record.ts'
import { createRecordTable } from '../src/record-table.ts'

function record(changes: Partial<SignedRecord> = {}): SignedRecord {
  const base = {
    key: 'k',
    subkey: '',
    signer: 'did:key:a' as Did,
    sequence: 1,
    expiresAt: 1000,
    withdrawn: false
  }
  return { ...base, value: Uint8Array.of(1), envelope: new Uint8Array(100), ...changes }
}

const version = fc.record({
  sequence: fc.integer({ min: 0, max: 3 }),
  expiresAt: fc.integer({ min: 1, max: 50 }),
  withdrawn: fc.boolean(),
  envelope: fc.uint8Array({ minLength: 1, maxLength: 3 }),
  signer: fc.constantFrom('did:key:a', 'did:key:b'),
  subkey: fc.constantFrom('', 's')
})

describe('which version of a slot is held', () => {
  test('does not depend on the order in which they come', () => {
    fc.assert(
      fc.property(
        fc
          .array(version, { minLength: 1, maxLength: 8 })
          .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([first, second]) => {
          const held = [first, second].map((order) => {
            const table = createRecordTable(DEFAULT_QUOTAS)
            for (const each of order) table.put(record(each), 0)
            return table
              .list('k', 0)
              .map(({ signer, subkey, sequence, envelope }) => [signer, subkey, sequence, [...envelope]])
          })
          expect(held[0]).toEqual(held[1])
        }
      )
    )
  })

  test('is a total order of versions', () => {
    fc.assert(
      fc.property(version, version, version, (x, y, z) => {
        const [a, b, c] = [record(x), record(y), record(z)]
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0)
        if (compareVersions(a, b) > 0 && compareVersions(b, c) > 0)
          expect(compareVersions(a, c)).toBeGreaterThan(0)
      })
    )
  })

  test('is told: stored, the same, stale with the newer one', () => {
    const table = createRecordTable(DEFAULT_QUOTAS)
    const newer = record({ sequence: 2 })
    expect(table.put(newer, 0)).toEqual({ type: 'stored' })
    expect(table.put(record({ sequence: 2 }), 0)).toEqual({ type: 'same' })
    expect(table.put(record({ sequence: 1 }), 0)).toEqual({ type: 'stale', newer })
    const rival = record({ sequence: 2, envelope: new Uint8Array(100).fill(1) })
    expect(table.put(rival, 0)).toEqual({ type: 'stored' })
    expect(table.put(newer, 0)).toEqual({ type: 'stale', newer: rival })
  })
})

describe('time', () => {
  test('what has expired, or claims to live too long, is not taken', () => {
    const table = createRecordTable(DEFAULT_QUOTAS)
    const now = 5_000
    expect(table.put(record({ expiresAt: now }), now)).toEqual({ type: 'untimely' })
    const furthest = now + MAX_TTL_MS + MAX_CLOCK_SKEW_MS
    expect(table.put(record({ expiresAt: furthest + 1 }), now)).toEqual({ type: 'untimely' })
    expect(table.put(record({ expiresAt: furthest }), now)).toEqual({ type: 'stored' })
  })

  test('what expires is not listed from that moment on, swept or not', () => {
    const table = createRecordTable(DEFAULT_QUOTAS)
    table.put(record({ expiresAt: 1000 }), 0)
    expect(table.list('k', 999).length).toBe(1)
    expect(table.list('k', 1000).length).toBe(0)
    expect(table.count).toBe(1)
    expect(table.sweep(999)).toEqual([])
    expect(table.sweep(1000).length).toBe(1)
    expect(table.count).toBe(0)
    expect(table.bytes).toBe(0)
  })

  test('an older version that would live longer does not return when the newer one has expired', () => {
    const table = createRecordTable(DEFAULT_QUOTAS)
    const old = record({ sequence: 1, expiresAt: 10_000 })
    table.put(old, 0)
    table.put(record({ sequence: 2, expiresAt: 1000, withdrawn: true }), 0)
    table.sweep(5000)
    expect(table.list('k', 5000)).toEqual([])
    expect(table.put(old, 5000).type).toBe('stale')
    table.sweep(10_000)
    expect(table.count).toBe(0)
  })
})

describe('quotas', () => {
  const quotas = { perKey: 3, perSigner: 4, bytesPerSigner: 1000, total: 6, totalBytes: 2000 }

  test('bound the records of a key, of a signer and in all; what is held is still renewed', () => {
    const table = createRecordTable(quotas)
    const put = (changes: Partial<SignedRecord>): string => table.put(record(changes), 0).type
    for (const subkey of ['1', '2', '3']) expect(put({ subkey })).toBe('stored')
    expect(put({ subkey: '4' })).toBe('full')
    expect(put({ subkey: '3', sequence: 2 })).toBe('stored')
    expect(put({ key: 'other' })).toBe('stored')
    expect(put({ key: 'third' })).toBe('full')
    for (const signer of ['did:key:b', 'did:key:c']) expect(put({ key: 'third', signer })).toBe('stored')
    expect(put({ key: 'fourth', signer: 'did:key:d' })).toBe('full')
    expect(table.count).toBe(6)
    table.sweep(1000)
    expect(put({ key: 'fourth', expiresAt: 2000 })).toBe('stored')
  })

  test('bound the bytes of a signer and in all, also when a record is renewed', () => {
    const table = createRecordTable(quotas)
    const put = (changes: Partial<SignedRecord>): string => table.put(record(changes), 0).type
    expect(put({ envelope: new Uint8Array(1000) })).toBe('stored')
    expect(put({ envelope: new Uint8Array(1001), sequence: 2 })).toBe('full')
    expect(put({ subkey: '2', envelope: new Uint8Array(1) })).toBe('full')
    expect(put({ signer: 'did:key:b', envelope: new Uint8Array(999) })).toBe('stored')
    expect(put({ signer: 'did:key:c', envelope: new Uint8Array(2) })).toBe('full')
    expect(put({ envelope: new Uint8Array(10), sequence: 3 })).toBe('stored')
    expect(table.bytes).toBe(1009)
  })

  test('hold whatever is put in whatever order, and the counts are right', () => {
    const put = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      subkey: fc.constantFrom('', '1', '2', '3'),
      signer: fc.constantFrom('did:key:a', 'did:key:b', 'did:key:c'),
      sequence: fc.integer({ min: 0, max: 5 }),
      expiresAt: fc.integer({ min: 1, max: 100 }),
      size: fc.integer({ min: 1, max: 600 }),
      now: fc.nat(60),
      sweep: fc.boolean()
    })
    fc.assert(
      fc.property(fc.array(put, { maxLength: 60 }), (puts) => {
        const table = createRecordTable(quotas)
        for (const { size, now, sweep, ...changes } of puts) {
          table.put(record({ ...changes, envelope: new Uint8Array(size) }), now)
          if (sweep) table.sweep(now)
        }
        const held = ['a', 'b', 'c'].map((key) =>
          ['did:key:a', 'did:key:b', 'did:key:c'].flatMap((signer) =>
            ['', '1', '2', '3'].flatMap((subkey) => table.get(key, slotOf({ signer, subkey })) ?? [])
          )
        )
        const all = held.flat()
        const bytes = (records: readonly SignedRecord[]): number =>
          records.reduce((sum, { envelope }) => sum + envelope.length, 0)
        expect(table.count).toBe(all.length)
        expect(table.bytes).toBe(bytes(all))
        expect(all.length).toBeLessThanOrEqual(quotas.total)
        expect(table.bytes).toBeLessThanOrEqual(quotas.totalBytes)
        for (const records of held) expect(records.length).toBeLessThanOrEqual(quotas.perKey)
        for (const signer of ['did:key:a', 'did:key:b', 'did:key:c']) {
          const own = all.filter((each) => each.signer === signer)
          expect(own.length).toBeLessThanOrEqual(quotas.perSigner)
          expect(bytes(own)).toBeLessThanOrEqual(quotas.bytesPerSigner)
        }
      })
    )
  })
})

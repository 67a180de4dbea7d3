import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createTileHashReader,
  decodeEntryBundle,
  encodeEntryBundle,
  hashLeaf,
  inclusionProof,
  parseTilePath,
  rootAt,
  tilePath,
  tilesOf,
  verifyInclusion
} from '../src/index.ts'
import { entriesOf, readerOf } from './merkle-kit.ts'

test('paths are those of tlog-tiles', () => {
  // The examples of C2SP tlog-tiles.
  expect(tilePath({ level: 0, index: 1_234_067, width: 256 })).toBe('tile/0/x001/x234/067')
  expect(tilePath({ level: 1, index: 0, width: 17 })).toBe('tile/1/000.p/17')
  expect(tilePath({ level: 'entries', index: 273, width: 112 })).toBe('tile/entries/273.p/112')
  const paths = [...tilesOf(70_000)].map(tilePath)
  expect(paths.filter((path) => path.startsWith('tile/0/'))).toHaveLength(274)
  expect(paths.filter((path) => /^tile\/[12]\//.test(path))).toEqual([
    'tile/1/000',
    'tile/1/001.p/17',
    'tile/2/000.p/1'
  ])
  expect(paths).toContain('tile/0/273.p/112')
  expect([...tilesOf(256)].map(tilePath)).toEqual(['tile/0/000', 'tile/1/000.p/1', 'tile/entries/000'])
  expect([...tilesOf(0)]).toEqual([])
})

test('a path is read as it was written, and nothing else is', () => {
  const level = fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constant('entries' as const))
  const place = fc.record({ level, index: fc.nat(2 ** 31 - 1), width: fc.integer({ min: 1, max: 256 }) })
  fc.assert(
    fc.property(place, (one) => {
      expect(parseTilePath(tilePath(one))).toEqual(one)
    }),
    { seed: 5 }
  )
  const wrong = [
    '',
    'tile/0/1',
    'tile/00/001',
    'tile/64/001',
    'tile/0/x000/001',
    'tile/0/001/001',
    'tile/0/001.p/0',
    'tile/0/001.p/256',
    'tile/0/001.p/01',
    'tile/0/001/',
    '../tile/0/001',
    'tile/data/001',
    'tile/0/x999/x999/x999/x999/x999/999'
  ]
  for (const path of wrong) expect(parseTilePath(path), path).toBeUndefined()
})

test('entry bundles are read as they were written, and nothing else is', () => {
  const entries = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })
  fc.assert(
    fc.property(entries, fc.nat(), (all, at) => {
      const bytes = encodeEntryBundle(all)
      expect(decodeEntryBundle(bytes, all.length)).toEqual(all)
      expect(() => decodeEntryBundle(bytes, all.length + 1)).toThrow(/Cannot read/)
      if (bytes.length > 0)
        expect(() => decodeEntryBundle(bytes.subarray(0, at % bytes.length), all.length)).toThrow(
          /Cannot read/
        )
      expect(() => decodeEntryBundle(Uint8Array.of(...bytes, 0), all.length)).toThrow(/Cannot read/)
    }),
    { numRuns: 50, seed: 1 }
  )
  expect(() => encodeEntryBundle([new Uint8Array(65_536)])).toThrow(/65536/)
})

test('proofs come out of tiles, few of them are read, and none of another length is taken', async () => {
  const size = 600
  const entries = entriesOf(size)
  const leaves = entries.map(hashLeaf)
  const byDefinition = readerOf(entries)
  let reads = 0
  const read = async ({
    level,
    index,
    width
  }: {
    level: number
    index: number
    width: number
  }): Promise<Uint8Array> => {
    reads++
    const hashes =
      level === 0
        ? leaves.slice(index * 256, index * 256 + width)
        : await Promise.all(Array.from({ length: width }, (_, at) => byDefinition(8, at)))
    return Uint8Array.from(hashes.flatMap((hash) => [...hash]))
  }
  const root = await rootAt(size, createTileHashReader(size, read))
  expect(root).toEqual(await rootAt(size, byDefinition))
  for (const index of [0, 255, 256, 511, 512, 599]) {
    reads = 0
    const proof = await inclusionProof(index, size, createTileHashReader(size, read))
    expect(verifyInclusion(index, size, leaves[index] as Uint8Array, proof, root)).toBe(true)
    expect(reads).toBeLessThanOrEqual(3)
  }
  const longer = createTileHashReader(size, async (place) => Uint8Array.of(...(await read(place)), 0))
  await expect(inclusionProof(0, size, longer)).rejects.toMatchObject({ code: 'ERR_AUDIT_MALFORMED' })
})

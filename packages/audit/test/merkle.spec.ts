import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  consistencyProof,
  emptyFrontier,
  emptyRoot,
  frontierRoot,
  growFrontier,
  hashLeaf,
  inclusionProof,
  rootAt,
  verifyConsistency,
  verifyInclusion,
  type Frontier
} from '../src/index.ts'
import { entriesOf, hex, knownEntries, readerOf } from './merkle-kit.ts'
import { runCases } from './proof-cases.ts'
import vectors from './vectors/rfc6962-proofs.json' with { type: 'json' }

const frontierOf = (entries: readonly Uint8Array[]): Frontier =>
  entries.map(hashLeaf).reduce(growFrontier, emptyFrontier)

describe('known answers', () => {
  test('the roots of eight entries, as Certificate Transparency has them', async () => {
    // google/certificate-transparency, merkletree/merkle_tree_test.cc
    const roots = [
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
      'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
      '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
      'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
      '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'
    ]
    for (const [size, root] of roots.entries()) {
      expect(frontierRoot(frontierOf(knownEntries.slice(0, size)))).toEqual(hex(root))
      expect(await rootAt(size, readerOf(knownEntries))).toEqual(hex(root))
    }
  })

  test('a few of the good and bad proofs', () => {
    expect(runCases(vectors)).toEqual({ wrong: [], good: 8, bad: 14 })
  })
})

describe('proofs', () => {
  test('every entry of every log up to 40, and every pair of sizes', async () => {
    const entries = entriesOf(40)
    const read = readerOf(entries)
    const roots = await Promise.all(Array.from({ length: 41 }, async (_, size) => rootAt(size, read)))
    for (let size = 1; size <= 40; size++) {
      for (let at = 0; at < size; at++) {
        const proof = await inclusionProof(at, size, read)
        const holds = (leaf: Uint8Array, index: number): boolean =>
          verifyInclusion(index, size, leaf, proof, roots[size] as Uint8Array)
        expect(holds(hashLeaf(entries[at] as Uint8Array), at)).toBe(true)
        expect(holds(hashLeaf(entries[(at + 1) % 40] as Uint8Array), at)).toBe(false)
        if (size > 1) expect(holds(hashLeaf(entries[at] as Uint8Array), (at + 1) % size)).toBe(false)
      }
      for (let from = 1; from <= size; from++) {
        const proof = await consistencyProof(from, size, read)
        const [older, newer] = [roots[from] as Uint8Array, roots[size] as Uint8Array]
        expect(verifyConsistency(from, size, older, newer, proof)).toBe(true)
        if (from < size) expect(verifyConsistency(from, size, newer, newer, proof)).toBe(false)
      }
    }
  })

  test('sizes beyond 32 bits', async () => {
    // Every entry is the same, so a subtree's hash depends on its height alone.
    const size = 2 ** 45 + 12_345
    const levels: Uint8Array[] = [hashLeaf(new Uint8Array())]
    const { hashChildren } = await import('../src/index.ts')
    for (let level = 1; level <= 46; level++) {
      const below = levels[level - 1] as Uint8Array
      levels.push(hashChildren(below, below))
    }
    const read = async (level: number): Promise<Uint8Array> => levels[level] as Uint8Array
    const root = await rootAt(size, read)
    for (const index of [0, 2 ** 32 + 1, 2 ** 45 - 1, 2 ** 45, size - 1]) {
      const proof = await inclusionProof(index, size, read)
      expect(verifyInclusion(index, size, levels[0] as Uint8Array, proof, root)).toBe(true)
    }
    const from = 2 ** 40 + 77
    const proof = await consistencyProof(from, size, read)
    expect(verifyConsistency(from, size, await rootAt(from, read), root, proof)).toBe(true)
  })

  test('a changed, dropped or reordered entry breaks every proof of the log it stood in', async () => {
    const change = fc.constantFrom('change', 'drop', 'swap', 'insert')
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 70 }),
        fc.nat(),
        fc.nat(),
        change,
        async (size, a, b, what) => {
          const entries = entriesOf(size)
          const at = a % size
          const other = (at + 1 + (b % (size - 1))) % size
          const forged = [...entries]
          if (what === 'change') forged[at] = Uint8Array.of(9)
          else if (what === 'drop') forged.splice(at, 1)
          else if (what === 'insert') forged.splice(at, 0, Uint8Array.of(9))
          else [forged[at], forged[other]] = [entries[other] as Uint8Array, entries[at] as Uint8Array]
          const [read, forgedRead] = [readerOf(entries), readerOf(forged)]
          const root = await rootAt(size, read)
          const forgedRoot = await rootAt(forged.length, forgedRead)
          expect(forgedRoot).not.toEqual(root)
          // What the forger hands out against the root that was signed.
          for (const index of [at, Math.min(other, forged.length - 1)].filter((one) => one < forged.length)) {
            const proof = await inclusionProof(index, forged.length, forgedRead)
            const leaf = hashLeaf(forged[index] as Uint8Array)
            expect(verifyInclusion(index, size, leaf, proof, root)).toBe(false)
          }
          // And the log that grew on from the forged past is not consistent with the signed one.
          const grown = [...forged, ...entriesOf(3, 7)]
          const grownRoot = await rootAt(grown.length, readerOf(grown))
          if (grown.length > size) {
            const proof = await consistencyProof(size, grown.length, readerOf(grown))
            expect(verifyConsistency(size, grown.length, root, grownRoot, proof)).toBe(false)
          }
        }
      ),
      { numRuns: 60, seed: 6962 }
    )
  })

  test('what is no hash, no size or too long is refused', () => {
    const leaf = hashLeaf(new Uint8Array())
    expect(verifyInclusion(0, 1, leaf, [], leaf)).toBe(true)
    for (const [index, size] of [
      [-1, 1],
      [0, 0],
      [0.5, 1],
      [Number.NaN, 1],
      [0, 2 ** 53],
      [1, 1]
    ] as const)
      expect(verifyInclusion(index, size, leaf, [], leaf)).toBe(false)
    expect(verifyInclusion(0, 1, leaf.subarray(1), [], leaf.subarray(1))).toBe(false)
    expect(
      verifyInclusion(
        0,
        2 ** 50,
        leaf,
        Array.from({ length: 100_000 }, () => leaf),
        leaf
      )
    ).toBe(false)
    expect(verifyConsistency(0, 1, emptyRoot(), leaf, [])).toBe(false)
    expect(
      verifyConsistency(
        1,
        2 ** 50,
        leaf,
        leaf,
        Array.from({ length: 100_000 }, () => leaf)
      )
    ).toBe(false)
  })
})

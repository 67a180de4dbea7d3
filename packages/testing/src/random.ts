import type { Random } from '@kwaai/interface'

/**
 * Randomness that is the same for the same seed. Not for keys that matter.
 *
 * The generator is sfc32 of Chris Doty-Humphrey's PractRand, seeded with FNV-1a of the seed's text.
 */
export function createSeededRandom(seed: number | string): Random {
  let hash = 0x811c9dc5
  for (const character of String(seed)) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193)
  }
  let a = hash
  let b = Math.imul(hash, 0x9e3779b1)
  let c = ~hash
  let counter = 1
  const word = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  // The first words still show the seed.
  for (let round = 0; round < 15; round++) word()
  return {
    bytes: (length) => Uint8Array.from({ length }, () => word() >>> 24),
    next: () => (word() * 2 ** 21 + (word() >>> 11)) / 2 ** 53
  }
}

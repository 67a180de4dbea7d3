/**
 * A small seeded generator: xoshiro128** 1.1, its state filled by SplitMix32, so that a seed gives the same
 * numbers on every platform. Source: D. Blackman and S. Vigna, https://prng.di.unimi.it (public domain).
 *
 * @param seed Any safe integer; its sign and all its 53 bits count.
 * @returns a function that gives numbers in [0, 1) with 53 bits.
 */
export function seededNumbers(seed: number): () => number {
  const low = seed >>> 0
  const high = Math.floor(seed / 2 ** 32) >>> 0
  // The high half enters by a multiplication, so that (low, high) and (high, low) differ.
  let mix = (low ^ Math.imul(high, 0x9e3779b1)) >>> 0
  const split = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0
    let word = mix
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
    return (word ^ (word >>> 16)) >>> 0
  }
  let [a, b, c, d] = [split(), split(), split(), (split() ^ high) >>> 0]
  if ((a | b | c | d) === 0) d = 1

  const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return result
  }
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53
}

import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, equalBytes } from './bytes.ts'
import { HASH_BYTES, MAX_PROOF_HASHES } from './constants.ts'

// RFC 6962, section 2.1. Sizes are whole numbers up to 2^53 - 1, so no bit operations: those end at 2^31.

/** The hash of an entry: SHA-256 of 0x00 and its bytes. */
export function hashLeaf(entry: Uint8Array): Uint8Array {
  return sha256(concatBytes([0], entry))
}

/** The hash of two neighbours: SHA-256 of 0x01, the left and the right. */
export function hashChildren(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concatBytes([1], left, right))
}

/** The root of a log without entries: SHA-256 of nothing. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array())
}

/** What a growing log has to remember: the roots of its complete subtrees, the largest first. */
export interface Frontier {
  readonly size: number
  readonly hashes: readonly Uint8Array[]
}

/** The frontier of a log without entries. */
export const emptyFrontier: Frontier = { size: 0, hashes: [] }

/** The frontier with one entry more, by its leaf hash. */
export function growFrontier(frontier: Frontier, leaf: Uint8Array): Frontier {
  const hashes = [...frontier.hashes]
  let hash = leaf
  for (let left = frontier.size; left % 2 === 1; left = half(left))
    hash = hashChildren(hashes.pop() as Uint8Array, hash)
  return { size: frontier.size + 1, hashes: [...hashes, hash] }
}

/** The root of a log, 32 bytes. */
export function frontierRoot({ hashes }: Frontier): Uint8Array {
  if (hashes.length === 0) return emptyRoot()
  return hashes.reduceRight((right, left) => hashChildren(left, right))
}

/** How many complete subtrees a log of this size has: the length of its frontier. */
export function frontierLength(size: number): number {
  let count = 0
  for (let rest = size; rest > 0; rest = half(rest)) count += rest % 2
  return count
}

/** Reads the root of the complete subtree over the entries from `index * 2 ** level` to `(index + 1) * 2 ** level`. */
export type HashReader = (level: number, index: number) => Promise<Uint8Array>

/** The root of the first `size` entries. */
export async function rootAt(size: number, read: HashReader): Promise<Uint8Array> {
  return size === 0 ? emptyRoot() : rangeHash(0, size, read)
}

/** The hashes that prove that entry `index` stands in the log of `size` entries, from the leaf's sibling on. */
export async function inclusionProof(index: number, size: number, read: HashReader): Promise<Uint8Array[]> {
  if (!(index >= 0 && index < size)) throw new RangeError(`There is no entry ${index} among ${size}`)
  const proof: Uint8Array[] = []
  for (let start = 0, end = size; end - start > 1;) {
    const middle = start + splitOf(end - start)
    if (index < middle) {
      proof.push(await rangeHash(middle, end, read))
      end = middle
    } else {
      proof.push(await rangeHash(start, middle, read))
      start = middle
    }
  }
  return proof.toReversed()
}

/** The hashes that prove that the log of `size` entries begins with those of the log of `from` entries. */
export async function consistencyProof(from: number, size: number, read: HashReader): Promise<Uint8Array[]> {
  if (!(from >= 0 && from <= size)) throw new RangeError(`A log of ${size} was never one of ${from}`)
  if (from === 0 || from === size) return []
  const proof: Uint8Array[] = []
  let start = 0
  let end = size
  // Below the right edge of the older tree a root has to be given; on its left edge the verifier has it.
  while (from !== end) {
    const middle = start + splitOf(end - start)
    if (from <= middle) {
      proof.push(await rangeHash(middle, end, read))
      end = middle
    } else {
      proof.push(await rangeHash(start, middle, read))
      start = middle
    }
  }
  if (start > 0) proof.push(await rangeHash(start, end, read))
  return proof.toReversed()
}

/** Whether a leaf hash stands at `index` of the log of `size` entries with this root (RFC 9162, section 2.1.3.2). */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  root: Uint8Array
): boolean {
  if (!areSizes(index, size) || index >= size || !areHashes([leaf, root, ...proof.slice(0, 64)], proof))
    return false
  let at = index
  let last = size - 1
  let hash = leaf
  for (const sibling of proof) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      hash = hashChildren(sibling, hash)
      for (; at % 2 === 0 && at !== 0; last = half(last)) at = half(at)
    } else {
      hash = hashChildren(hash, sibling)
    }
    at = half(at)
    last = half(last)
  }
  return last === 0 && equalBytes(hash, root)
}

/**
 * Whether the log of `size` entries begins with the one of `from` entries (RFC 9162, section 2.1.4.2). False where
 * `from` is 0: everything begins with nothing, so there is nothing to prove.
 */
export function verifyConsistency(
  from: number,
  size: number,
  fromRoot: Uint8Array,
  root: Uint8Array,
  proof: readonly Uint8Array[]
): boolean {
  if (!areSizes(from, size) || from === 0 || from > size) return false
  if (from === size) return proof.length === 0 && equalBytes(fromRoot, root)
  if (!areHashes([fromRoot, root, ...proof.slice(0, 64)], proof)) return false
  let at = from - 1
  let last = size - 1
  for (; at % 2 === 1; last = half(last)) at = half(at)
  // The older tree is complete, and so is a subtree of the newer: its root is known.
  const [first, ...rest] = at === 0 ? [fromRoot, ...proof] : proof
  if (first === undefined || proof.length === 0) return false
  let older = first
  let newer = first
  for (const sibling of rest) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      older = hashChildren(sibling, older)
      newer = hashChildren(sibling, newer)
      for (; at % 2 === 0 && at !== 0; last = half(last)) at = half(at)
    } else {
      newer = hashChildren(newer, sibling)
    }
    at = half(at)
    last = half(last)
  }
  return last === 0 && equalBytes(older, fromRoot) && equalBytes(newer, root)
}

function half(n: number): number {
  return Math.floor(n / 2)
}

/** The largest power of two below `n`, which is 2 or more. */
function splitOf(n: number): number {
  let power = 1
  while (power * 2 < n) power *= 2
  return power
}

async function rangeHash(start: number, end: number, read: HashReader): Promise<Uint8Array> {
  const count = end - start
  const split = count === 1 ? 0 : splitOf(count)
  if (count === 1 || split * 2 === count) {
    // Halves are cut at powers of two, so a range that is one begins at a multiple of itself.
    return read(Math.round(Math.log2(count)), start / count)
  }
  const left = await rangeHash(start, start + split, read)
  return hashChildren(left, await rangeHash(start + split, end, read))
}

function areSizes(...sizes: readonly number[]): boolean {
  return sizes.every((size) => Number.isSafeInteger(size) && size >= 0)
}

function areHashes(hashes: readonly Uint8Array[], proof: readonly Uint8Array[]): boolean {
  return proof.length <= MAX_PROOF_HASHES && hashes.every((hash) => hash.length === HASH_BYTES)
}

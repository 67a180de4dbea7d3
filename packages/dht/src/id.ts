import type { PeerId, Random } from '@kwaai/interface'
import { sha256 } from '@noble/hashes/sha2.js'

/** A point of the 256-bit key space: 32 bytes, big-endian. */
export type DhtId = Uint8Array

/** Bits of the key space. */
export const ID_BITS = 256

const encoder = new TextEncoder()

/** Where a peer lies: nobody can choose it freely, since it is the hash of a name that is a key. */
export function idOfPeer(peer: PeerId): DhtId {
  return sha256(encoder.encode(peer))
}

/** Where the records of a key lie. */
export function idOfKey(key: string): DhtId {
  return sha256(encoder.encode(key))
}

/** Negative when `a` is closer to `target` than `b`, by the XOR metric (Kademlia, section 2.1). */
export function compareDistance(target: DhtId, a: DhtId, b: DhtId): number {
  for (let i = 0; i < target.length; i++) {
    const byte = target[i] as number
    const difference = ((a[i] as number) ^ byte) - ((b[i] as number) ^ byte)
    if (difference !== 0) return difference
  }
  return 0
}

/** How many leading bits two points share: 0 to 256. */
export function commonPrefixLength(a: DhtId, b: DhtId): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) ^ (b[i] as number)
    if (difference !== 0) return i * 8 + Math.clz32(difference) - 24
  }
  return ID_BITS
}

/** A random point that shares exactly `prefix` (0 to 255) leading bits with `id`. */
export function randomIdWithPrefix(id: DhtId, prefix: number, random: Random): DhtId {
  const out = random.bytes(id.length)
  for (let bit = 0; bit <= prefix; bit++) {
    const mask = 0x80 >> (bit & 7)
    const own = (id[bit >> 3] as number) & mask
    const wanted = bit === prefix ? own ^ mask : own
    out[bit >> 3] = ((out[bit >> 3] as number) & ~mask) | wanted
  }
  return out
}

import type { PeerId } from '../common.ts'

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes)))
}

/** Below zero when `a` is nearer to the key than `b`, by XOR. */
function compareDistance(key: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < key.length; index++) {
    const own = key[index] ?? 0
    const difference = ((a[index] ?? 0) ^ own) - ((b[index] ?? 0) ^ own)
    if (difference !== 0) return difference
  }
  return 0
}

/**
 * Puts peers in the order of their distance to a key as Kademlia in libp2p measures it: XOR of the SHA-256 of
 * the key and of the bytes of the peer id, https://github.com/libp2p/specs/tree/master/kad-dht
 */
export async function closestFirst(
  key: Uint8Array,
  peers: readonly { peer: PeerId; idBytes: Uint8Array }[]
): Promise<PeerId[]> {
  const target = await sha256(key)
  const hashed = await Promise.all(
    peers.map(async ({ peer, idBytes }) => ({ peer, hash: await sha256(idBytes) }))
  )
  return hashed.toSorted((a, b) => compareDistance(target, a.hash, b.hash)).map(({ peer }) => peer)
}

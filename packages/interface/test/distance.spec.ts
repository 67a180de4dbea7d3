import { closestFirst } from '@kwaai/interface/streams'
import { array, assert, asyncProperty, uint8Array, uniqueArray } from 'fast-check'
import { expect, test } from 'vitest'

const id = uint8Array({ minLength: 1, maxLength: 40 })

async function distance(key: Uint8Array, bytes: Uint8Array): Promise<bigint> {
  const hash = async (data: Uint8Array): Promise<bigint> => {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(data)))
    return digest.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  }
  return (await hash(key)) ^ (await hash(bytes))
}

test('peers come in the order of the XOR of their hashes and the hash of the key', async () => {
  const ids = uniqueArray(id, { maxLength: 12, selector: String })
  await assert(
    asyncProperty(id, ids, async (key, all) => {
      const peers = all.map((idBytes, index) => ({ peer: `p${index}`, idBytes }))
      const order = await closestFirst(key, peers)
      const distances = await Promise.all(
        order.map((peer) => distance(key, peers.find((other) => other.peer === peer)?.idBytes ?? key))
      )
      expect(distances).toEqual(distances.toSorted((a, b) => (a < b ? -1 : 1)))
      expect(order.toSorted()).toEqual(peers.map(({ peer }) => peer).toSorted())
    }),
    { numRuns: 50 }
  )
})

test('the peer whose id is the key is the nearest', async () => {
  await assert(
    asyncProperty(id, array(id, { maxLength: 5 }), async (key, others) => {
      const peers = [...others, key].map((idBytes, index) => ({ peer: `p${index}`, idBytes }))
      const [first] = await closestFirst(key, peers)
      expect(peers.find(({ peer }) => peer === first)?.idBytes).toEqual(key)
    }),
    { numRuns: 30 }
  )
})

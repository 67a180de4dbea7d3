import { createIdentity } from '@kwaai/identity'
import type { Network } from '@kwaai/interface'
import { createNetwork } from '@kwaai/network'
import { networkSuite } from '@kwaai/testing'
import { test } from 'vitest'

let made = 0

/** Keys that are the same in every run. */
export function nextSeed(): Uint8Array {
  made += 1
  return new Uint8Array(32).fill(made & 255, 0, 31).fill(made >> 8, 31)
}

networkSuite(test, {
  async create(count) {
    const networks: Network[] = Array.from({ length: count }, () => createNetwork({ privateKey: nextSeed() }))
    await Promise.all(networks.map((network) => network.start()))
    return networks
  },
  unknownPeer: createIdentity({ seed: new Uint8Array(32).fill(255) }).peerId
})

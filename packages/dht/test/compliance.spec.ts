import { recordStoreSuite } from '@kwaai/testing'
import { test } from 'vitest'
import { createFleet } from './fleet.ts'

recordStoreSuite(test, {
  create: async (count) => {
    const fleet = createFleet('compliance')
    for (let i = 0; i < count; i++) {
      await fleet.add({ bootstrap: fleet.nodes[0]?.network.addresses() ?? [] })
    }
    return {
      members: fleet.nodes.map(({ dht, identity }) => ({ store: dht, did: identity.did })),
      now: fleet.clock.now,
      advance: fleet.clock.advance,
      destroy: async () => {
        for (const node of fleet.nodes) await fleet.kill(node)
      }
    }
  }
})

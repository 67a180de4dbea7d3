import { createMemoryStore } from '@kwaai/interface/memory'
import { keyValueStoreSuite, networkSuite, startMemoryNetworks } from '@kwaai/testing'
import { test } from 'vitest'

networkSuite(test, { create: (count) => startMemoryNetworks(count), unknownPeer: 'nobody' })
keyValueStoreSuite(test, { create: async () => createMemoryStore() })

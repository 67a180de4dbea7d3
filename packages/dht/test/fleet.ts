import { createIdentity, type Identity } from '@kwaai/identity'
import type { KeyValueStore, Network, PeerId } from '@kwaai/interface'
import {
  createMemoryHub,
  createMemoryNetwork,
  type MemoryFaults,
  type MemoryHub
} from '@kwaai/interface/memory'
// Single files, as this helper needs no suite.
import {
  createFakeClock,
  createFaults,
  createSeededRandom,
  type ControlledFaults,
  type FakeClock
} from '@kwaai/testing'
import { createDht, type Dht, type DhtInit } from '../src/index.ts'

// WebCrypto computes beside the event loop, so a fake clock cannot know when it is done. Without it identities
// compute in place, as they do in a page without TLS, and every run is the same.
Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined, configurable: true })

export interface TestNode {
  readonly identity: Identity
  readonly peerId: PeerId
  readonly network: Network
  readonly dht: Dht
}

export interface Fleet {
  readonly clock: FakeClock
  readonly hub: MemoryHub
  readonly faults: ControlledFaults
  /** All nodes ever added, in order. */
  readonly nodes: TestNode[]
  /** A network and an identity without a DHT: an adversary's. */
  stranger(name: string): Promise<{ identity: Identity; network: Network }>
  /** Adds a node and starts it while the clock runs. */
  add(init?: DhtInit & { store?: KeyValueStore; name?: string }): Promise<TestNode>
  /** Ends a node as a crash would. */
  kill(node: TestNode): Promise<void>
  /** Lets time pass until the promise is settled, a second at a time and at most ten minutes. */
  during<T>(promise: Promise<T>): Promise<T>
}

/** Nodes over the in-memory network, all of it decided by the seed. */
export function createFleet(seed: number | string, options: { faults?: boolean } = {}): Fleet {
  const clock = createFakeClock()
  const random = createSeededRandom(seed)
  const faults = createFaults({}, { clock, random })
  const hub = createMemoryHub({
    clock,
    ...(options.faults === true ? { faults: faults as MemoryFaults } : {})
  })
  const nodes: TestNode[] = []
  const killed = new Set<TestNode>()
  const identityOf = (name: string): Identity =>
    createIdentity({}, { random: createSeededRandom(`${seed}/${name}`) })

  const during = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false
    const mark = (): void => void (settled = true)
    promise.then(mark, mark)
    await clock.advance(0)
    for (let second = 0; !settled && second < 600; second++) await clock.advance(1000)
    if (!settled) throw new Error('It is not settled after ten minutes')
    return promise
  }

  return {
    clock,
    hub,
    faults,
    nodes,
    during,
    stranger: async (name) => {
      const identity = identityOf(name)
      const network = createMemoryNetwork(hub, { peerId: identity.peerId })
      await network.start()
      return { identity, network }
    },
    add: async ({ store, name = `node ${nodes.length}`, ...init } = {}) => {
      const identity = identityOf(name)
      const network = createMemoryNetwork(hub, { peerId: identity.peerId })
      await network.start()
      const dht = createDht(init, {
        network,
        identity,
        clock,
        random: createSeededRandom(`${seed}/${name}/dht`),
        ...(store === undefined ? {} : { store })
      })
      const node = { identity, peerId: identity.peerId, network, dht }
      nodes.push(node)
      await during(dht.start())
      return node
    },
    kill: async (node) => {
      if (killed.has(node)) return
      killed.add(node)
      // The hub first: what the node would still say on stopping reaches nobody.
      hub.kill(node.peerId)
      await during(node.dht.stop())
    }
  }
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

export function read(value: Uint8Array): string {
  return new TextDecoder().decode(value)
}

import { createSeededRandom } from '@kwaai/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { createFleet, read, text, type Fleet, type TestNode } from './fleet.ts'

let fleet: Fleet
afterEach(async () => {
  for (const node of fleet.nodes) await fleet.kill(node)
})

async function values(node: TestNode, key: string): Promise<string[]> {
  return (await fleet.during(node.dht.get(key))).map(({ value }) => read(value))
}

test.each([1, 2])(
  'nodes come and go for half an hour, seed %i: adverts of the living stay findable, those of the dead go',
  async (seed) => {
    fleet = createFleet(seed)
    const random = createSeededRandom(`churn ${seed}`)
    const alive = new Set<TestNode>()
    const pick = (): TestNode => [...alive][Math.floor(random.next() * alive.size)] as TestNode
    const join = async (): Promise<TestNode> => {
      const bootstrap = alive.size === 0 ? [] : pick().network.addresses()
      const node = await fleet.add({ k: 4, bootstrap })
      alive.add(node)
      return node
    }
    for (let i = 0; i < 10; i++) await join()
    const writers: [string, TestNode][] = []
    for (const key of ['one', 'two', 'three']) {
      const writer = pick()
      writers.push([key, writer])
      await fleet.during(writer.dht.announce({ key, value: text(key) }))
    }
    for (let minute = 0; minute < 30; minute++) {
      if (random.next() < 0.5) await join()
      const victim = pick()
      if (alive.size > 7 && random.next() < 0.6) {
        alive.delete(victim)
        await fleet.kill(victim)
      }
      await fleet.clock.advance(60_000)
      for (const [key, writer] of writers) {
        if (alive.has(writer)) expect(await values(pick(), key)).toEqual([key])
      }
    }
    await fleet.clock.advance(360_000)
    for (const [key, writer] of writers) {
      expect(await values(pick(), key)).toEqual(alive.has(writer) ? [key] : [])
    }
    // The dead are forgotten too.
    const names = new Set([...alive].map(({ peerId }) => peerId))
    for (const node of alive) {
      const known = node.dht.peers()
      expect(known.filter((peer) => names.has(peer)).length).toBeGreaterThan(0)
    }
  }
)

describe('a partition', () => {
  test('leaves each side its own adverts, and heals', async () => {
    fleet = createFleet('partition')
    for (let i = 0; i < 10; i++)
      await fleet.add({ k: 4, bootstrap: fleet.nodes[0]?.network.addresses() ?? [] })
    const left = fleet.nodes.slice(0, 5)
    const right = fleet.nodes.slice(5)
    const [a] = left as [TestNode]
    const [b] = right as [TestNode]
    await fleet.during(a.dht.announce({ key: 'left', value: text('left') }))
    await fleet.during(b.dht.announce({ key: 'right', value: text('right') }))
    fleet.hub.partition(
      left.map(({ peerId }) => peerId),
      right.map(({ peerId }) => peerId)
    )
    await fleet.clock.advance(500_000)
    for (const node of left) {
      expect(await values(node, 'left')).toEqual(['left'])
      expect(await values(node, 'right')).toEqual([])
    }
    for (const node of right) {
      expect(await values(node, 'right')).toEqual(['right'])
      expect(await values(node, 'left')).toEqual([])
    }
    fleet.hub.heal()
    // Nobody dials anybody for the DHT's sake: it asks again those that fell silent.
    await fleet.clock.advance(600_000)
    for (const node of fleet.nodes) {
      expect(await values(node, 'left')).toEqual(['left'])
      expect(await values(node, 'right')).toEqual(['right'])
    }
  })
})

test('resets, failed dials and delays lose no advert', async () => {
  fleet = createFleet('weather', { faults: true })
  for (let i = 0; i < 8; i++) await fleet.add({ k: 4, bootstrap: fleet.nodes[0]?.network.addresses() ?? [] })
  Object.assign(fleet.faults.settings, {
    latencyMs: 30,
    jitterMs: 40,
    resetRate: 0.02,
    dialFailureRate: 0.05
  })
  const [writer] = fleet.nodes as [TestNode]
  await fleet.during(writer.dht.announce({ key: 'k', value: text('here') }))
  for (let round = 0; round < 5; round++) {
    await fleet.clock.advance(120_000)
    for (const node of fleet.nodes) expect(await values(node, 'k')).toEqual(['here'])
  }
})

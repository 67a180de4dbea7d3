import { afterEach, expect, test } from 'vitest'
import { createFleet, read, text, type Fleet, type TestNode } from './fleet.ts'

const key = 'kwaai/model/abc'
let fleet: Fleet

afterEach(async () => {
  for (const node of fleet.nodes) await fleet.kill(node)
})

async function twelve(seed: number): Promise<TestNode[]> {
  fleet = createFleet(seed)
  const bootstrap = await fleet.add({ k: 4 })
  for (let i = 1; i < 12; i++) await fleet.add({ k: 4, bootstrap: bootstrap.network.addresses() })
  return fleet.nodes
}

async function foundBy(node: TestNode): Promise<string[]> {
  const records = await fleet.during(node.dht.get(key))
  return records.map(({ value }) => read(value))
}

test.each([1, 2, 3])(
  'twelve nodes with k = 4, seed %i: the bootstrap dies after the join, and an advert is found and renewed',
  async (seed) => {
    const [bootstrap, ...rest] = (await twelve(seed)) as [TestNode, ...TestNode[]]
    await fleet.kill(bootstrap)

    const writer = rest[seed % rest.length] as TestNode
    const announcement = await fleet.during(writer.dht.announce({ key, value: text('blocks 0 to 10') }))
    for (const node of rest) expect(await foundBy(node)).toEqual(['blocks 0 to 10'])

    // No node is told of every other: tables hold what k = 4 lets them hold, lookups do the rest.
    const [first] = await fleet.during(writer.dht.get(key))
    for (let minutes = 2; minutes <= 12; minutes += 2) {
      await fleet.clock.advance(120_000)
      for (const node of rest) expect(await foundBy(node)).toEqual(['blocks 0 to 10'])
    }
    const [later] = await fleet.during((rest[0] as TestNode).dht.get(key))
    expect(later?.sequence).toBeGreaterThan(first?.sequence ?? Infinity)
    expect(later?.expiresAt).toBeGreaterThan(fleet.clock.now())

    await fleet.during(announcement.stop())
    for (const node of rest) expect(await foundBy(node)).toEqual([])
  }
)

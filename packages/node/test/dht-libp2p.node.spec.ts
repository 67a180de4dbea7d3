import { createDht, type Dht } from '@kwaai/dht'
import { createIdentity } from '@kwaai/identity'
import type { Network } from '@kwaai/interface'
import { createNetwork } from '@kwaai/network'
import { afterEach, expect, test } from 'vitest'

interface Node {
  dht: Dht
  network: Network
}

const key = 'kwaai/model/over-libp2p'
const nodes: Node[] = []

afterEach(async () => {
  for (const { dht } of nodes) await dht.stop()
  await Promise.all(nodes.splice(0).map(({ network }) => network.stop()))
})

async function start(bootstrap: string[]): Promise<Node> {
  const identity = createIdentity()
  const network = createNetwork({ privateKey: identity.exportSeed(), bootstrap })
  await network.start()
  const dht = createDht({ k: 4, bootstrap, requestTimeoutMs: 10_000 }, { network, identity })
  const node = { dht, network }
  nodes.push(node)
  await dht.start()
  return node
}

test('twelve libp2p nodes, k = 4: the bootstrap dies after the join, and an advert is found by all and renewed', async () => {
  const bootstrap = await start([])
  const rest: Node[] = []
  for (let i = 1; i < 12; i++) rest.push(await start(bootstrap.network.addresses()))

  // Without a farewell: the network goes first.
  await bootstrap.network.stop()

  const writer = rest[0] as Node
  const announcement = await writer.dht.announce(
    { key, value: new TextEncoder().encode('blocks 0 to 10') },
    { intervalMs: 1_000 }
  )
  const found = async ({ dht }: Node): Promise<string[]> =>
    (await dht.get(key)).map(({ value }) => new TextDecoder().decode(value))
  for (const node of rest) expect(await found(node)).toEqual(['blocks 0 to 10'])

  // A watcher far away sees the renewal come: the sequence grows while the value stays.
  const sequences: number[] = []
  for await (const [record] of (rest.at(-1) as Node).dht.watch(key, { intervalMs: 250 })) {
    if (record !== undefined) sequences.push(record.sequence)
    if (sequences.length === 4) break
  }
  expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
  expect(new Set(sequences).size).toBe(4)

  await announcement.stop()
  for (const node of rest) expect(await found(node)).toEqual([])
}, 60_000)

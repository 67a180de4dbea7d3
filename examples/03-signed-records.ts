// Four nodes and no server: an advert put at one is found at another, and nobody can sign it but its owner.
import { createDht, type Dht } from '@kwaai/dht'
import { createIdentity } from '@kwaai/identity'
import { createMemoryHub, createMemoryNetwork } from '@kwaai/interface/memory'

const hub = createMemoryHub()
await using nodes = new AsyncDisposableStack()

/** A node that joins through another one. */
async function join(through?: string): Promise<{ did: string; peerId: string; dht: Dht }> {
  const identity = createIdentity()
  const network = nodes.use(createMemoryNetwork(hub, { peerId: identity.peerId }))
  await network.start()
  const dht = nodes.use(
    createDht({ bootstrap: through === undefined ? [] : [through] }, { network, identity })
  )
  await dht.start()
  return { did: identity.did, peerId: identity.peerId, dht }
}

const first = await join()
const writer = await join(first.peerId)
const other = await join(first.peerId)
const reader = await join(first.peerId)

const value = new TextEncoder().encode('blocks 0 to 9')
const { stored } = await writer.dht.put({ key: 'example/model', value, ttlMs: 60_000 })
await other.dht.put({ key: 'example/model', value: new TextEncoder().encode('blocks 10 to 29') })
console.log(`${stored} nodes hold the first advert.`)

for (const record of await reader.dht.get('example/model')) {
  const who = record.signer === writer.did ? 'the first' : 'the other'
  console.log(`${who}: ${new TextDecoder().decode(record.value)}`)
}

await writer.dht.withdraw({ key: 'example/model' })
const left = await reader.dht.get('example/model')
console.log(
  `After the first has withdrawn: ${left.map(({ value }) => new TextDecoder().decode(value)).join()}`
)

/* Prints
4 nodes hold the first advert.
the …
the …
After the first has withdrawn: blocks 10 to 29
*/

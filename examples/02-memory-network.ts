// Two peers that talk, and a partition between them, in one process and without a socket.
import { createIdentity } from '@kwaai/identity'
import { createMemoryHub, createMemoryNetwork } from '@kwaai/interface/memory'

const hub = createMemoryHub()
await using alice = createMemoryNetwork(hub, { peerId: createIdentity().peerId })
await using bob = createMemoryNetwork(hub, { peerId: createIdentity().peerId })
await alice.start()
await bob.start()

// Bob answers a protocol. `peer` is who asks, as the transport has proven it.
await bob.handle('/example/upper/1', {
  onRequest: async (payload, { peer }) => {
    const text = new TextDecoder().decode(payload)
    console.log(`Bob was asked by ${peer === alice.peerId ? 'Alice' : 'somebody'}: ${text}`)
    return new TextEncoder().encode(text.toUpperCase())
  }
})

const ask = async (text: string): Promise<string> => {
  const answer = await alice.request(bob.peerId, '/example/upper/1', new TextEncoder().encode(text))
  return new TextDecoder().decode(answer)
}

console.log(`Alice hears: ${await ask('hello')}`)

hub.partition([alice.peerId], [bob.peerId])
console.log(`Cut off, Alice hears: ${await ask('hello').catch((error: { code: string }) => error.code)}`)

hub.heal()
console.log(`Mended, Alice hears: ${await ask('again')}`)

/* Prints
Bob was asked by Alice: hello
Alice hears: HELLO
Cut off, Alice hears: ERR_NETWORK_UNREACHABLE
Bob was asked by Alice: again
Mended, Alice hears: AGAIN
*/

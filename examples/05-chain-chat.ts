// A chat through three nodes over libp2p: two hold the blocks, the third only asks. Here they run in one
// program; on three machines the addresses are all that changes.
import { createNode } from '@kwaai/node'

await using nodes = new AsyncDisposableStack()

const first = nodes.use(await createNode({ blocks: [0, 12] }))
const second = nodes.use(await createNode({ blocks: [12, 30], bootstrap: first.addresses() }))
const client = nodes.use(await createNode({ blocks: 'none', bootstrap: first.addresses() }))

// The client finds the others through the DHT.
await client.whenReady()

const names = new Map([
  [first.peerId, 'the first'],
  [second.peerId, 'the second']
])
const messages = [{ role: 'user' as const, content: 'What is a peer-to-peer network?' }]
for await (const event of client.model.chat({ messages, temperature: 0, maxTokens: 24 })) {
  if (event.type === 'start') {
    for (const { peer, from, to } of event.chain)
      console.log(`${names.get(peer)} computes blocks ${from} to ${to - 1}`)
  }
  if (event.type === 'text') process.stdout.write(event.text)
  if (event.type === 'finish') console.log(`\nended by ${event.reason}`)
}

/* Prints
the first computes blocks 0 to 11
the second computes blocks 12 to 29
…peer-to-peer…
ended by length
*/

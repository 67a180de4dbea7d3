import { execFile, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, connect, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createIdentity } from '@kwaai/identity'
import type { Network } from '@kwaai/interface'
import { createNetwork } from '@kwaai/network'
import { assertRejects, assertRejectsWith, createSeededRandom } from '@kwaai/testing'
import { afterEach, expect, test } from 'vitest'

const children: ChildProcess[] = []
const networks: Network[] = []
const execArgv = ['--conditions=kwaai:source']
const peerFixture = fileURLToPath(new URL('./fixtures/peer.ts', import.meta.url))
const bareFixture = fileURLToPath(new URL('./fixtures/without-libp2p.ts', import.meta.url))

async function startPeer(seed: number): Promise<{ child: ChildProcess; peerId: string; address: string }> {
  const child = fork(peerFixture, [String(seed)], { execArgv })
  children.push(child)
  const [message] = (await once(child, 'message')) as [{ peerId: string; address: string }]
  return { child, ...message }
}

async function startNetwork(init: Partial<Parameters<typeof createNetwork>[0]> = {}): Promise<Network> {
  const network = createNetwork({ privateKey: new Uint8Array(32).fill(100 + networks.length), ...init })
  networks.push(network)
  await network.start()
  return network
}

afterEach(async () => {
  await Promise.all(networks.splice(0).map((network) => network.stop()))
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

test('a killed process is noticed: its channels reject, and so does the next dial', async () => {
  const { child, peerId, address } = await startPeer(1)
  const network = await startNetwork()
  await network.connect(address)
  const channel = await network.open(peerId, '/echo/1')
  await channel.send(Uint8Array.of(1, 2))
  expect(await channel.receive()).toEqual(Uint8Array.of(1, 2))
  const receive = assertRejectsWith(channel.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
  const request = network.request(peerId, '/never/1', new Uint8Array(1))
  const answer = assertRejectsWith(request, 'ERR_NETWORK_REQUEST_FAILED', 'request')
  const gone = new Promise<void>((resolve) => {
    network.onPeer(({ type }) => type === 'disconnect' && resolve())
  })
  await network.ping(peerId)
  child.kill('SIGKILL')
  await Promise.all([receive, answer, gone])
  await assertRejectsWith(channel.send(new Uint8Array(1)), 'ERR_NETWORK_CHANNEL_CLOSED', 'send')
  await assertRejectsWith(network.open(peerId, '/echo/1'), 'ERR_NETWORK_UNREACHABLE', 'open')
  expect(network.peers()).toEqual([])
})

test('a process that hangs ends with the signal of the caller', async () => {
  const { child, peerId, address } = await startPeer(2)
  const network = await startNetwork()
  await network.connect(address)
  const channel = await network.open(peerId, '/echo/1')
  child.kill('SIGSTOP')
  const reason = new Error('enough')
  const calls = [
    (signal: AbortSignal) => channel.receive({ signal }),
    (signal: AbortSignal) => network.request(peerId, '/never/1', new Uint8Array(1), { signal }),
    (signal: AbortSignal) => network.open(peerId, '/echo/1', { signal }),
    (signal: AbortSignal) => network.ping(peerId, { signal })
  ]
  for (const call of calls) {
    const controller = new AbortController()
    const pending = call(controller.signal)
    pending.catch(() => undefined)
    controller.abort(reason)
    expect(await assertRejects(pending, 'call')).toBe(reason)
  }
  // What was sent before it hung is sent still, up to the bounds, without waiting for it.
  await channel.send(new Uint8Array(10))
})

test('the peer id follows from the key, and an address with another id is refused', async () => {
  const { peerId, address } = await startPeer(3)
  expect(peerId).toBe(createIdentity({ seed: new Uint8Array(32).fill(3) }).peerId)
  const network = await startNetwork()
  const other = createIdentity({ seed: new Uint8Array(32).fill(4) }).peerId
  const wrong = address.replace(peerId, other)
  await assertRejectsWith(network.connect(wrong), 'ERR_NETWORK_UNREACHABLE', 'connect')
  expect(network.peers()).toEqual([])
})

test('a taken port and an address that cannot be read are told in a sentence', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const taken = startNetwork({ listen: [`/ip4/127.0.0.1/tcp/${port}`] })
  const error = await assertRejectsWith(taken, 'ERR_NETWORK_ADDRESS_IN_USE', 'start')
  expect(error.message).toMatch(/^Cannot listen on .*: the port is taken .*; name another one/)
  server.close()
  const unreadable = startNetwork({ listen: ['127.0.0.1:80'] })
  await assertRejectsWith(unreadable, 'ERR_NETWORK_INVALID_ADDRESS', 'start')
  for (const listen of ['/ip4/127.0.0.1', '/ip4/127.0.0.1/udp/1/quic-v1']) {
    const wrong = await assertRejectsWith(
      startNetwork({ listen: [listen] }),
      'ERR_NETWORK_INVALID_ADDRESS',
      listen
    )
    expect(wrong.message).toContain('expected an IP address and a TCP port')
  }
  // A network that could not start can be started once the reason is gone.
  await networks[0]?.start()
  expect(networks[0]?.addresses()[0]).toContain(`/tcp/${port}/`)
})

test('an address to join that can never work is told at the start', async () => {
  for (const [address, why] of [
    ['nowhere', 'neither a multiaddr nor a peer id'],
    ['/ip4/127.0.0.1/tcp/1', 'does not end in /p2p/'],
    ['/ip4/127.0.0.1/tcp/1/p2p/nobody', 'neither a multiaddr nor a peer id']
  ] as const) {
    const start = startNetwork({ bootstrap: [address] })
    const error = await assertRejectsWith(start, 'ERR_NETWORK_INVALID_ADDRESS', 'start')
    expect(error.message).toContain(address.split('/').at(-1))
    expect(error.message).toContain(why)
  }
})

test('a peer without listen addresses dials and is answered', async () => {
  const server = await startNetwork()
  const client = await startNetwork({ listen: [] })
  await server.handle('/x/1', { onRequest: async () => Uint8Array.of(1) })
  expect(client.addresses()).toEqual([])
  await client.connect(server.addresses()[0] ?? '')
  expect(await client.request(server.peerId, '/x/1', new Uint8Array())).toEqual(Uint8Array.of(1))
})

test('a peer is found where it announces itself, and nowhere else', async () => {
  const listening = await startNetwork()
  const behind = Number(/\/tcp\/(\d+)\//.exec(listening.addresses()[0] ?? '')?.[1])
  await listening.stop()
  let forwarded = 0
  const forwarder = createServer((near) => {
    forwarded++
    const far = connect(behind, '127.0.0.1')
    for (const socket of [near, far]) socket.on('error', () => undefined)
    near.pipe(far).pipe(near)
  })
  forwarder.listen(0, '127.0.0.1')
  await once(forwarder, 'listening')
  const announced = `/ip4/127.0.0.1/tcp/${(forwarder.address() as AddressInfo).port}`
  try {
    const server = await startNetwork({
      listen: [`/ip4/127.0.0.1/tcp/${behind}`],
      announce: [announced]
    })
    expect(server.addresses()).toEqual([`${announced}/p2p/${server.peerId}`])
    const middle = await startNetwork()
    await middle.connect(server.addresses()[0] ?? '')
    // One who knows somebody in the middle alone learns the announced address from there.
    const client = await startNetwork()
    await client.connect(middle.addresses()[0] ?? '')
    for (let tries = 0; !client.peers().includes(server.peerId) && tries < 100; tries++) {
      await client.connect(server.peerId).catch(() => client.closestPeers(new Uint8Array(32)))
    }
    expect(client.connection(server.peerId)?.addressPrefix).toBe('127.0.0.0/24')
    expect(forwarded).toBe(2)
  } finally {
    forwarder.close()
    await Promise.all(networks.splice(0).map((network) => network.stop()))
  }
})

test('bootstrap peers are dialled in the background, and again when they are lost', async () => {
  const seed = new Uint8Array(32).fill(77)
  const first = await startNetwork({ privateKey: seed })
  const address = first.addresses()[0] ?? ''
  let drops = 0
  first.onPeer(({ type, peer }) => {
    if (type !== 'connect' || drops > 0) return
    drops += 1
    void first.disconnect(peer)
  })
  const client = createNetwork({ privateKey: new Uint8Array(32).fill(78), bootstrap: [address] })
  networks.push(client)
  const connects: string[] = []
  const twice = new Promise<void>((resolve) => {
    client.onPeer(({ type, peer }) => {
      if (type === 'connect' && connects.push(peer) === 2) resolve()
    })
  })
  await client.start()
  await twice
  expect(connects).toEqual([first.peerId, first.peerId])
})

test('garbage on the port itself is survived', async () => {
  const network = await startNetwork()
  const port = Number(/\/tcp\/(\d+)\//.exec(network.addresses()[0] ?? '')?.[1])
  const random = createSeededRandom('port')
  for (let round = 0; round < 20; round++) {
    const socket = connect(port, '127.0.0.1')
    const closed = new Promise((resolve) => {
      socket.on('close', resolve)
    })
    socket.on('error', () => undefined)
    if (round % 2 === 0) socket.write('\x13/multistream/1.0.0\n')
    socket.end(random.bytes(1 + Math.floor(random.next() * 5000)))
    socket.resume()
    await closed
  }
  const client = await startNetwork()
  expect(await client.connect(network.addresses()[0] ?? '')).toBe(network.peerId)
})

test('a flood of a paused stream is bounded: the peer waits', async () => {
  const { peerId, address } = await startPeer(5)
  const network = await startNetwork()
  await network.connect(address)
  const channel = await network.open(peerId, '/echo/1')
  // The peer echoes; nobody here reads. Its echoes fill this side, then its own, then it stops reading.
  const frame = new Uint8Array(256 * 1024)
  let sent = 0
  for (; sent < 256; sent++) {
    const controller = new AbortController()
    const sending = channel.send(frame, { signal: controller.signal })
    let settled = false
    const note = (): void => {
      settled = true
    }
    sending.then(note, note)
    for (let round = 0; round < 25 && !settled; round++) await network.ping(peerId)
    if (settled) continue
    controller.abort()
    break
  }
  expect(sent).toBeLessThan(100)
  for (let index = 0; index < sent; index++) expect((await channel.receive())?.length).toBe(frame.length)
})

test('without libp2p installed the error says what to install', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [...execArgv, bareFixture])
  const error = JSON.parse(stdout) as { code: string; message: string; peerId: string }
  expect(error.code).toBe('ERR_NETWORK_UNSUPPORTED')
  expect(error.message).toMatch(/install the peer dependencies of @kwaai\/network/)
  expect(error.peerId).toMatch(/^12D3KooW/)
})

test('a key of the wrong length is refused before anything starts', async () => {
  const make = async (): Promise<Network> => createNetwork({ privateKey: new Uint8Array(31) })
  await assertRejectsWith(make(), 'ERR_IDENTITY_INVALID_SEED', 'createNetwork')
})

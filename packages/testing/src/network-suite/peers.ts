import type { PeerEvent } from '@kwaai/interface'
import { macrotask } from '../macrotask.ts'
import { assert, assertEqual, assertRejects, assertRejectsWith } from '../assert.ts'
import { address, connectedPair, later, until, type NetworkTest } from './harness.ts'

/** Addresses, connections, events, discovery. */
export function peerTests(it: NetworkTest): void {
  it('names its contract, its peer and its addresses', 1, async ([network]) => {
    assert(network !== undefined, 'no network')
    assertEqual<string>(network.specification, 'kwaai.network/1', 'specification')
    assert(network.peerId.length > 0, 'no peer id')
    assert(network.addresses().length > 0, 'no address')
    for (const own of network.addresses()) {
      assert(own.startsWith('/') && own.endsWith(`/p2p/${network.peerId}`), `the address is ${own}`)
    }
  })

  it('connects by address, and both ends know', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await until(
      () => b.peers().length === 1,
      () => a.ping(b.peerId),
      'the other end sees the connection'
    )
    assertEqual(a.peers(), [b.peerId], 'peers of the dialler')
    assertEqual(b.peers(), [a.peerId], 'peers of the dialled')
    assertEqual(await a.connect(address(b)), b.peerId, 'connecting again')
    assertEqual(await a.connect(b.peerId), b.peerId, 'connecting by id')
    assertEqual(a.peers(), [b.peerId], 'peers after connecting again')
  })

  it('refuses what is no address', 1, async ([a]) => {
    assert(a !== undefined, 'no network')
    for (const wrong of ['', 'no address', '/no/address', '/ip4/127.0.0.1/tcp/1', 'x/y', '/']) {
      await assertRejectsWith(a.connect(wrong), 'ERR_NETWORK_INVALID_ADDRESS', `connect ${wrong}`)
    }
  })

  it('says when a peer cannot be reached', 2, async ([a, b], { unknownPeer }) => {
    assert(a !== undefined && b !== undefined, 'no networks')
    await assertRejectsWith(a.connect(unknownPeer), 'ERR_NETWORK_UNREACHABLE', 'connect')
    await assertRejectsWith(a.open(unknownPeer, '/x/1'), 'ERR_NETWORK_UNREACHABLE', 'open')
    await assertRejectsWith(a.ping(unknownPeer), 'ERR_NETWORK_UNREACHABLE', 'ping')
    const request = a.request(unknownPeer, '/x/1', new Uint8Array(1))
    await assertRejectsWith(request, 'ERR_NETWORK_UNREACHABLE', 'request')
    const gone = address(b)
    await b.stop()
    await assertRejectsWith(a.connect(gone), 'ERR_NETWORK_UNREACHABLE', 'connect to a stopped peer')
    assertEqual(a.connection(unknownPeer), undefined, 'facts about an unknown peer')
    assertEqual(a.connection('no peer id'), undefined, 'facts about no peer id')
    await a.disconnect(unknownPeer)
    await a.disconnect('no peer id')
  })

  it('tells when peers come and go', 2, async ([a, b]) => {
    assert(a !== undefined && b !== undefined, 'no networks')
    const seen: PeerEvent[] = []
    const unheard: PeerEvent[] = []
    a.onPeer(() => {
      throw new Error('a listener of its own')
    })
    const stop = a.onPeer((event) => unheard.push(event))
    a.onPeer((event) => seen.push(event))
    stop()
    await a.connect(address(b))
    await a.disconnect(b.peerId)
    await until(() => seen.length === 2, macrotask, 'the own disconnect is told')
    await until(() => b.peers().length === 0, macrotask, 'the other end sees the disconnect')
    await a.connect(address(b))
    await b.stop()
    await until(() => seen.length === 4, macrotask, 'the stop of the other is told')
    const wanted = (['connect', 'disconnect', 'connect', 'disconnect'] as const).map((type) => ({
      type,
      peer: b.peerId
    }))
    assertEqual(seen, wanted, 'events')
    assertEqual(unheard, [], 'events after the listener was removed')
    assertEqual(a.peers(), [], 'peers')
  })

  it('measures round trips and knows the connection', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const rttMs = await a.ping(b.peerId)
    assert(rttMs >= 0 && rttMs < 60_000, `the round trip is ${rttMs}`)
    const facts = a.connection(b.peerId)
    assert(facts !== undefined, 'no facts')
    assertEqual(facts.relayed, false, 'relayed')
    assertEqual(facts.rttMs, rttMs, 'the last round trip')
    assert(facts.addressPrefix.length > 0, 'no address prefix')
  })

  it('finds a peer by its id through a third', 3, async ([a, b, c]) => {
    assert(a !== undefined && b !== undefined && c !== undefined, 'no networks')
    await b.connect(address(a))
    await c.connect(address(a))
    await c.handle('/found/1', { onRequest: async () => Uint8Array.of(42) })
    // The third learns the address a moment after the connection stands.
    await until(
      async () => b.connect(c.peerId).then(Boolean, () => false),
      () => b.ping(a.peerId),
      'the peer is found'
    )
    assertEqual(await b.request(c.peerId, '/found/1', new Uint8Array()), Uint8Array.of(42), 'answer')
  })

  it('knows the peers closest to a key', 4, async ([a, ...others]) => {
    assert(a !== undefined, 'no network')
    for (const other of others) await other.connect(address(a))
    const wanted = others.map((other) => other.peerId).toSorted()
    const key = Uint8Array.of(1, 2, 3)
    await until(
      async () => (await a.closestPeers(key)).length === others.length,
      () => a.ping(others[0]?.peerId ?? ''),
      'all peers are known'
    )
    const found = await a.closestPeers(key)
    assertEqual(found.toSorted(), wanted, 'peers')
    assertEqual(await a.closestPeers(key), found, 'the same order again')
    assertEqual(await a.closestPeers(key, { count: 2 }), found.slice(0, 2), 'the two closest')
  })

  it('ends calls with the reason of their signal', 2, async (networks, { unknownPeer }) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/x/1', { onRequest: async (payload) => payload })
    const reason = new Error('enough')
    const options = { signal: AbortSignal.abort(reason) }
    const calls: Record<string, () => Promise<unknown>> = {
      connect: () => a.connect(unknownPeer, options),
      ping: () => a.ping(b.peerId, options),
      request: () => a.request(b.peerId, '/x/1', new Uint8Array(1), options),
      open: () => a.open(b.peerId, '/x/1', options),
      openStream: () => a.openStream(b.peerId, '/x/1', options),
      closestPeers: () => a.closestPeers(Uint8Array.of(1), options)
    }
    for (const [name, call] of Object.entries(calls)) {
      assert((await assertRejects(call(), name)) === reason, `${name} rejects with another reason`)
    }
  })

  it('stops, and starts again', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/c/1', { onChannel: async (channel) => void (await channel.receive()) })
    const channel = await a.open(b.peerId, '/c/1')
    const pending = later(channel.receive())
    await a.stop()
    await a.stop()
    await assertRejectsWith(pending, 'ERR_NETWORK_CHANNEL_CLOSED', 'receive of the stopped')
    await assertRejectsWith(
      channel.send(new Uint8Array(1)),
      'ERR_NETWORK_CHANNEL_CLOSED',
      'send of the stopped'
    )
    assertEqual(a.peers(), [], 'peers of the stopped')
    assertEqual(a.addresses(), [], 'addresses of the stopped')
    await assertRejectsWith(a.connect(address(b)), 'ERR_NETWORK_UNREACHABLE', 'connect of the stopped')
    await assertRejectsWith(a.open(b.peerId, '/c/1'), 'ERR_NETWORK_UNREACHABLE', 'open of the stopped')
    const { peerId } = a
    await a.start()
    await a.start()
    assertEqual(a.peerId, peerId, 'the peer id')
    await a.connect(address(b))
    await (await a.open(b.peerId, '/c/1')).close()
  })
}

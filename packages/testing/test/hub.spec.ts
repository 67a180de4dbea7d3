import type { Channel, Network, PeerEvent } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork } from '@kwaai/interface/memory'
import {
  assertRejectsWith,
  createFakeClock,
  createFaults,
  createSeededRandom,
  createSeededScheduler,
  macrotask,
  startMemoryNetworks
} from '@kwaai/testing'
import { expect, test } from 'vitest'

async function echoAt(network: Network): Promise<void> {
  await network.handle('/echo/1', {
    onChannel: async (channel: Channel) => {
      for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
        await channel.send(frame)
      }
    }
  })
}

async function three(init: Parameters<typeof createMemoryHub>[0] = {}) {
  const hub = createMemoryHub(init)
  const [a, b, c] = (await startMemoryNetworks(3, hub)) as [Network, Network, Network]
  for (const network of [a, b, c]) await echoAt(network)
  return { hub, a, b, c }
}

test('a killed peer is gone at once, and may come back', async () => {
  const { hub, a, b } = await three()
  const events: PeerEvent[] = []
  a.onPeer((event) => events.push(event))
  const channel = await a.open(b.peerId, '/echo/1')
  await channel.send(Uint8Array.of(1))
  await channel.receive()
  const pending = assertRejectsWith(channel.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
  hub.kill(b.peerId)
  await pending
  expect(hub.peers()).toEqual(['peer-0', 'peer-2'])
  expect([a.peers(), b.peers(), b.addresses()]).toEqual([[], [], []])
  await assertRejectsWith(a.open(b.peerId, '/echo/1'), 'ERR_NETWORK_UNREACHABLE', 'open')
  await assertRejectsWith(b.connect(a.peerId), 'ERR_NETWORK_UNREACHABLE', 'connect of the killed')
  await b.start()
  await (await a.open(b.peerId, '/echo/1')).close()
  expect(events.map(({ type }) => type)).toEqual(['connect', 'disconnect', 'connect'])
  hub.kill('nobody')
})

test('a partition cuts what runs between its groups and nothing else, until it is healed', async () => {
  const { hub, a, b, c } = await three()
  const cut = await a.open(b.peerId, '/echo/1')
  const whole = await a.open(c.peerId, '/echo/1')
  hub.partition([a.peerId], [b.peerId])
  await assertRejectsWith(cut.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
  for (const [from, to] of [
    [a, b],
    [b, a]
  ] as const) {
    await assertRejectsWith(from.connect(to.peerId), 'ERR_NETWORK_UNREACHABLE', 'connect')
  }
  expect(await a.closestPeers(new Uint8Array(1))).toEqual([c.peerId])
  await whole.send(Uint8Array.of(1))
  expect(await whole.receive()).toEqual(Uint8Array.of(1))
  await b.connect(c.peerId)
  hub.heal()
  await a.connect(b.peerId)
})

test('two peers of one id are refused', async () => {
  const { hub } = await three()
  const twin = createMemoryNetwork(hub, { peerId: 'peer-0' })
  await assertRejectsWith(twin.start(), 'ERR_NETWORK_ADDRESS_IN_USE', 'start')
})

test('latency holds for each way, and is measured', async () => {
  const clock = createFakeClock()
  const faults = createFaults({ latencyMs: 10 }, { clock, random: createSeededRandom(1) })
  const { a, b } = await three({ clock, faults })
  const ping = a.ping(b.peerId)
  // One trip for the dial, two for the ping.
  await clock.advance(30)
  expect(await ping).toBe(20)
  expect(a.connection(b.peerId)?.rttMs).toBe(20)
  const opening = a.open(b.peerId, '/echo/1')
  await clock.advance(10)
  const channel = await opening
  await channel.send(Uint8Array.of(1))
  const started = clock.monotonic()
  const answer = channel.receive().then((frame) => [frame?.[0], clock.monotonic() - started])
  await clock.advance(100)
  expect(await answer).toEqual([1, 20])
})

test('a peer that stalls answers nothing, fails nothing, and goes on when resumed', async () => {
  const clock = createFakeClock()
  const faults = createFaults({}, { clock, random: createSeededRandom(1) })
  const { a, b } = await three({ clock, faults })
  const channel = await a.open(b.peerId, '/echo/1')
  faults.stall(b.peerId)
  await channel.send(Uint8Array.of(1))
  let answered = false
  const answer = channel.receive().finally(() => {
    answered = true
  })
  await clock.advance(1_000_000)
  expect(answered).toBe(false)
  const reason = new Error('enough')
  const request = a.ping(b.peerId, { signal: AbortSignal.abort(reason) })
  await expect(request).rejects.toBe(reason)
  faults.resume(b.peerId)
  expect(await answer).toEqual(Uint8Array.of(1))
})

test('a partition frees those who wait for a stalled peer', async () => {
  const faults = createFaults({}, { clock: createFakeClock(), random: createSeededRandom(1) })
  const { hub, a, b } = await three({ faults })
  await a.connect(b.peerId)
  faults.stall(b.peerId)
  const calls = [a.open(b.peerId, '/echo/1'), a.ping(b.peerId)]
  const outcomes = calls.map((call) => assertRejectsWith(call, 'ERR_NETWORK_UNREACHABLE', 'call'))
  await macrotask()
  hub.partition([a.peerId], [b.peerId])
  await Promise.all(outcomes)
})

test('resets and failed dials come as often as they are set', async () => {
  const random = createSeededRandom('rates')
  const faults = createFaults({ dialFailureRate: 0.5 }, { clock: createFakeClock(), random })
  const { a, b, c } = await three({ faults })
  let failures = 0
  for (let round = 0; round < 200; round++) {
    await a.connect(b.peerId).catch(() => (failures += 1))
    await a.disconnect(b.peerId)
  }
  expect(failures).toBeGreaterThan(70)
  expect(failures).toBeLessThan(130)
  faults.settings.dialFailureRate = 0
  await a.connect(c.peerId)
  const channel = await a.open(c.peerId, '/echo/1')
  faults.settings.resetRate = 1
  await channel.send(Uint8Array.of(1))
  await assertRejectsWith(channel.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
})

test('the same seed gives the same order, another seed another one', async () => {
  const run = async (seed: number): Promise<string> => {
    const scheduler = createSeededScheduler(createSeededRandom(seed))
    const transfer = async (_: unknown, signal: AbortSignal): Promise<'pass'> => {
      await scheduler.turn({ signal })
      return 'pass'
    }
    const { a, b, c } = await three({ faults: { transfer } })
    const order: string[] = []
    await c.handle('/say/1', {
      onRequest: async (payload, { peer }) => {
        order.push(`${peer}:${payload[0]}`)
        return payload
      }
    })
    const requests = [a, b].flatMap((network) =>
      [1, 2, 3].map((number) => network.request(c.peerId, '/say/1', Uint8Array.of(number)))
    )
    await scheduler.run()
    await Promise.all(requests)
    expect(order).toHaveLength(6)
    return order.join(' ')
  }
  expect(await run(1)).toBe(await run(1))
  const orders = new Set(await Promise.all([1, 2, 3, 4, 5, 6].map(run)))
  expect(orders.size).toBeGreaterThan(1)
})

test('a peer that never closes its side loses the stream after a while', async () => {
  const clock = createFakeClock()
  const { a, b } = await three({ clock })
  let far: Channel | undefined
  await b.handle('/keep/1', {
    onChannel: (channel) => {
      far = channel
      return new Promise(() => undefined)
    }
  })
  const channel = await a.open(b.peerId, '/keep/1')
  await channel.close()
  await clock.advance(9999)
  await far?.send(Uint8Array.of(1))
  expect(await channel.receive()).toEqual(Uint8Array.of(1))
  await clock.advance(9999)
  await far?.send(Uint8Array.of(2))
  await clock.advance(2)
  await assertRejectsWith(
    far?.send(Uint8Array.of(3)) ?? Promise.resolve(),
    'ERR_NETWORK_CHANNEL_CLOSED',
    'send'
  )
  expect(clock.sleeping).toBe(0)
})

test('a request that does not arrive in time loses its stream', async () => {
  const clock = createFakeClock()
  const { a, b } = await three({ clock })
  await b.handle('/ask/1', { onRequest: async (payload) => payload })
  const stream = await a.openStream(b.peerId, '/ask/1')
  await stream.write(Uint8Array.of(0, 0, 0, 9, 1))
  await clock.advance(29_999)
  await stream.write(Uint8Array.of(1))
  await clock.advance(1)
  await assertRejectsWith(stream.read(), 'ERR_NETWORK_CHANNEL_CLOSED', 'read')
  expect(clock.sleeping).toBe(0)
})

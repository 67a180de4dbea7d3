import type { Channel } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, assertRejectsWith } from '../assert.ts'
import { connectedPair, later, pattern, staysOpen, until, type NetworkTest } from './harness.ts'

const echo = {
  onChannel: async (channel: Channel): Promise<void> => {
    for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
      await channel.send(frame)
    }
  }
}

/** Opens a channel and gives both of its ends. */
async function bothEnds(
  [a, b]: Awaited<ReturnType<typeof connectedPair>>,
  options: { maxFrameBytes?: number } = {}
): Promise<[Channel, Channel, finish: () => void]> {
  let finish = (): void => undefined
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  let far: Channel | undefined
  const remove = await b.handle(
    '/both/1',
    {
      onChannel: (channel) => {
        far = channel
        return finished
      }
    },
    options
  )
  const near = await a.open(b.peerId, '/both/1')
  await until(
    () => far !== undefined,
    () => a.ping(b.peerId),
    'the channel arrives'
  )
  await remove()
  assert(far !== undefined, 'no channel')
  return [near, far, finish]
}

/** Channels of frames. */
export function channelTests(it: NetworkTest): void {
  it('carries frames whole and in order', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/echo/1', echo)
    const channel = await a.open(b.peerId, '/echo/1')
    assertEqual([channel.peer, channel.protocol], [b.peerId, '/echo/1'], 'peer and protocol')
    const sizes = [0, 1, 3, 4, 5, 255, 256, 1200, 2304, 65_535, 65_536, 65_537, 262_144, 300_000, 0, 2]
    const frames = sizes.map((size, index) => pattern(size, index))
    const sent = (async () => {
      for (const frame of frames) await channel.send(frame)
      await channel.close()
    })()
    for (const frame of frames) assertEqual(await channel.receive(), frame, `frame of ${frame.length} bytes`)
    assertEqual(await channel.receive(), undefined, 'end')
    assertEqual(await channel.receive(), undefined, 'end again')
    await sent
  })

  it('joins the parts of a frame', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/echo/1', echo)
    const channel = await a.open(b.peerId, '/echo/1')
    await channel.send([Uint8Array.of(1, 2), new Uint8Array(), Uint8Array.of(3)])
    await channel.send([])
    assertEqual(await channel.receive(), Uint8Array.of(1, 2, 3), 'frame of parts')
    assertEqual(await channel.receive(), new Uint8Array(), 'frame of no parts')
    await channel.close()
  })

  it('keeps the order of sends that nobody waits for', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/echo/1', echo)
    const channel = await a.open(b.peerId, '/echo/1')
    const frames = Array.from({ length: 200 }, (_, index) => pattern(1 + ((index * 997) % 5000), index))
    const sends = frames.map((frame) => channel.send(frame))
    const receives = frames.map(() => channel.receive())
    assertEqual(await Promise.all(receives), frames, 'frames')
    await Promise.all(sends)
    await channel.close()
  })

  it('copies: bytes sent may be reused, bytes received are the own', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far] = await bothEnds([a, b])
    const buffer = new Uint8Array(5000)
    const frames = Array.from({ length: 20 }, (_, index) => pattern(5000, index))
    for (const frame of frames) {
      buffer.set(frame)
      await near.send(buffer)
      buffer.fill(0)
    }
    for (const frame of frames) {
      const received = await far.receive()
      assertEqual(received, frame, 'frame')
      assert(received !== undefined, 'no frame')
      assert(Object.getPrototypeOf(received) === Uint8Array.prototype, 'not a plain Uint8Array')
      assert(received.buffer.byteLength === received.length, 'the frame is a view of something larger')
      assert(received.buffer instanceof ArrayBuffer, 'the memory is shared')
      structuredClone(received, { transfer: [received.buffer] })
    }
    await near.close()
  })

  it('carries frames up to the limit and refuses larger ones', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/echo/1', echo)
    const channel = await a.open(b.peerId, '/echo/1')
    const largest = pattern(8 * 1024 * 1024, 3)
    const sent = channel.send(largest)
    assertEqual(await channel.receive(), largest, 'frame of 8 MiB')
    await sent
    const over = channel.send([largest, Uint8Array.of(1)])
    await assertRejectsWith(over, 'ERR_NETWORK_FRAME_TOO_LARGE', 'frame above 8 MiB')
    await channel.send(Uint8Array.of(1))
    assertEqual(await channel.receive(), Uint8Array.of(1), 'frame afterwards')
    await channel.close()
  })

  it('refuses a frame above the limit of the receiver', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far] = await bothEnds([a, b], { maxFrameBytes: 100 })
    await near.send(pattern(100, 1))
    assertEqual(await far.receive(), pattern(100, 1), 'frame at the limit')
    await near.send(pattern(101, 1))
    await assertRejectsWith(far.receive(), 'ERR_NETWORK_FRAME_TOO_LARGE', 'receive')
    await assertRejectsWith(near.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive of the sender')
    await assertRejectsWith(far.send(pattern(101, 1)), 'ERR_NETWORK_FRAME_TOO_LARGE', 'send of the receiver')
  })

  it('waits while the peer does not read', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far, finish] = await bothEnds([a, b])
    const frame = pattern(64 * 1024, 1)
    let sent = 0
    let waiting: Promise<void> | undefined
    while (sent < 512 && waiting === undefined) {
      const sending = later(near.send(frame))
      if (await staysOpen(sending, a, b.peerId)) waiting = sending
      sent += 1
    }
    assert(waiting !== undefined, `${sent} frames of 64 KiB were taken with nobody reading`)
    await near.receive({ signal: AbortSignal.abort() }).catch(() => undefined)
    const reason = new Error('enough')
    const controller = new AbortController()
    const given = later(near.send(pattern(10, 9), { signal: controller.signal }))
    assert(await staysOpen(given, a, b.peerId), 'a frame overtakes the waiting one')
    controller.abort(reason)
    assert((await assertRejects(given, 'aborted send')) === reason, 'another reason')
    // Another channel is not held up.
    await b.handle('/echo/1', echo)
    const other = await a.open(b.peerId, '/echo/1')
    await other.send(Uint8Array.of(1))
    assertEqual(await other.receive(), Uint8Array.of(1), 'frame of another channel')
    await other.close()
    for (let index = 0; index < sent; index++) assertEqual(await far.receive(), frame, `frame ${index}`)
    await waiting
    await near.send(Uint8Array.of(2))
    assertEqual(await far.receive(), Uint8Array.of(2), 'the aborted frame was not sent')
    await near.close()
    assertEqual(await far.receive(), undefined, 'end')
    finish()
  })

  it('loses nothing when a receive is aborted', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far] = await bothEnds([a, b])
    const reason = new Error('enough')
    const controller = new AbortController()
    const first = later(far.receive({ signal: controller.signal }))
    const second = far.receive()
    assert(await staysOpen(first, a, b.peerId), 'nothing was sent, something was received')
    controller.abort(reason)
    assert((await assertRejects(first, 'aborted receive')) === reason, 'another reason')
    await near.send(Uint8Array.of(1))
    assertEqual(await second, Uint8Array.of(1), 'frame')
    await near.close()
  })

  it('closes in good order', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far, finish] = await bothEnds([a, b])
    const frames = [pattern(3, 1), pattern(100_000, 2)]
    for (const frame of frames) await near.send(frame)
    await near.close()
    await near.close()
    await assertRejectsWith(near.send(Uint8Array.of(1)), 'ERR_NETWORK_CHANNEL_CLOSED', 'send after close')
    for (const frame of frames) assertEqual(await far.receive(), frame, 'frame')
    assertEqual(await far.receive(), undefined, 'end')
    await far.send(Uint8Array.of(5))
    finish()
    assertEqual(await near.receive(), Uint8Array.of(5), 'answer after the close')
    assertEqual(await near.receive(), undefined, 'end of the answer')
  })

  it('aborts at once, and the peer sees a reset', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far] = await bothEnds([a, b])
    await near.send(Uint8Array.of(1))
    assertEqual(await far.receive(), Uint8Array.of(1), 'frame')
    const pending = later(far.receive())
    const own = later(near.receive())
    near.abort(new Error('a secret'))
    near.abort()
    await assertRejectsWith(own, 'ERR_NETWORK_CHANNEL_CLOSED', 'own receive')
    const error = await assertRejectsWith(pending, 'ERR_NETWORK_CHANNEL_CLOSED', 'receive of the peer')
    assert(!String(error.cause).includes('a secret'), 'the reason has travelled')
    await assertRejectsWith(far.send(Uint8Array.of(1)), 'ERR_NETWORK_CHANNEL_CLOSED', 'send of the peer')
    await assertRejectsWith(near.send(Uint8Array.of(1)), 'ERR_NETWORK_CHANNEL_CLOSED', 'own send')
    await assertRejectsWith(far.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive again')
  })

  it('ends channels when the connection ends', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near, far] = await bothEnds([a, b])
    const pending = [later(near.receive()), later(far.receive())]
    await a.disconnect(b.peerId)
    for (const receive of pending) {
      await assertRejectsWith(receive, 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
    }
  })

  it('ends channels when the other end stops', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const [near] = await bothEnds([a, b])
    const pending = later(near.receive())
    await b.stop()
    await assertRejectsWith(pending, 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
  })

  it('carries many channels at once', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/echo/1', echo)
    const run = async (index: number): Promise<void> => {
      const channel = await a.open(b.peerId, '/echo/1')
      for (let round = 0; round < 10; round++) {
        const frame = pattern(500 + index * 100 + round, index * 16 + round)
        await channel.send(frame)
        assertEqual(await channel.receive(), frame, `frame ${round} of channel ${index}`)
      }
      await channel.close()
      assertEqual(await channel.receive(), undefined, `end of channel ${index}`)
    }
    await Promise.all(Array.from({ length: 32 }, (_, index) => run(index)))
  })
}

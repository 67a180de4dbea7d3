import type { PeerId, RequestContext } from '@kwaai/interface'
import { macrotask } from '../macrotask.ts'
import { assert, assertEqual, assertRejects, assertRejectsWith } from '../assert.ts'
import { createSeededRandom } from '../random.ts'
import { connectedPair, pattern, until, type NetworkTest } from './harness.ts'

/** Requests and handlers. */
export function requestTests(it: NetworkTest): void {
  it('answers requests, and the handler knows who asks', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const callers: PeerId[] = []
    await b.handle('/double/1', {
      onRequest: async (payload, context) => {
        callers.push(context.peer)
        return payload.map((byte) => byte * 2)
      }
    })
    assertEqual(await a.request(b.peerId, '/double/1', Uint8Array.of(1, 2)), Uint8Array.of(2, 4), 'answer')
    assertEqual(await a.request(b.peerId, '/double/1', new Uint8Array()), new Uint8Array(), 'empty answer')
    assertEqual(callers, [a.peerId, a.peerId], 'callers')
  })

  it('answers many requests at once', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/echo/1', { onRequest: async (payload) => payload }, { maxStreamsPerPeer: 50 })
    const payloads = Array.from({ length: 50 }, (_, index) => pattern(index * 37, index))
    const answers = await Promise.all(payloads.map((payload) => a.request(b.peerId, '/echo/1', payload)))
    assertEqual(answers, payloads, 'answers')
    // More than any limit of streams, one after the other: none may be left behind.
    for (let index = 0; index < 120; index++) await a.request(b.peerId, '/echo/1', Uint8Array.of(index & 255))
  })

  it('answers both ways over one connection', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await a.handle('/who/1', { onRequest: async () => Uint8Array.of(1) })
    await b.handle('/who/1', { onRequest: async () => Uint8Array.of(2) })
    assertEqual(await a.request(b.peerId, '/who/1', new Uint8Array()), Uint8Array.of(2), 'answer of b')
    assertEqual(await b.request(a.peerId, '/who/1', new Uint8Array()), Uint8Array.of(1), 'answer of a')
  })

  it('lets a peer talk to itself', 1, async ([a]) => {
    assert(a !== undefined, 'no network')
    await a.handle('/self/1', {
      onRequest: async (payload, { peer }) => (peer === a.peerId ? payload : payload.subarray(0, 0))
    })
    assertEqual(await a.request(a.peerId, '/self/1', Uint8Array.of(7)), Uint8Array.of(7), 'answer')
    assertEqual(a.peers(), [], 'peers')
    const other = a.request(a.peerId, '/other/1', Uint8Array.of(7))
    await assertRejectsWith(other, 'ERR_NETWORK_PROTOCOL_UNSUPPORTED', 'an unknown protocol')
  })

  it('says when a protocol is not answered', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const code = 'ERR_NETWORK_PROTOCOL_UNSUPPORTED'
    await assertRejectsWith(a.request(b.peerId, '/no/1', new Uint8Array(1)), code, 'request')
    await assertRejectsWith(a.open(b.peerId, '/no/1'), code, 'open')
    await assertRejectsWith(a.openStream(b.peerId, '/no/1'), code, 'openStream')
  })

  it('resets the stream of a handler that fails, and keeps its words', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/fail/1', { onRequest: () => Promise.reject(new Error('a secret')) })
    const request = a.request(b.peerId, '/fail/1', new Uint8Array(1))
    const error = await assertRejectsWith(request, 'ERR_NETWORK_REQUEST_FAILED', 'request')
    for (let at: unknown = error; at instanceof Error; at = at.cause) {
      assert(!at.message.includes('a secret'), 'the text of the error has travelled')
    }
    await b.handle('/fail/2', {
      onChannel: async () => {
        throw new Error('a secret')
      }
    })
    const channel = await a.open(b.peerId, '/fail/2')
    await assertRejectsWith(channel.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'receive')
  })

  it('takes one handler a protocol, and lets go of it', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const first = await b.handle('/one/1', { onRequest: async () => Uint8Array.of(1) })
    const second = b.handle('/one/1', { onRequest: async () => Uint8Array.of(2) })
    await assertRejectsWith(second, 'ERR_NETWORK_PROTOCOL_TAKEN', 'a second handler')
    assertEqual(await a.request(b.peerId, '/one/1', new Uint8Array()), Uint8Array.of(1), 'first answer')
    await first()
    const refused = a.request(b.peerId, '/one/1', new Uint8Array())
    await assertRejectsWith(refused, 'ERR_NETWORK_PROTOCOL_UNSUPPORTED', 'without a handler')
    await b.handle('/one/1', { onRequest: async () => Uint8Array.of(3) })
    await first()
    assertEqual(await a.request(b.peerId, '/one/1', new Uint8Array()), Uint8Array.of(3), 'third answer')
  })

  it('tells a handler when its caller is gone', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    let context: RequestContext | undefined
    await b.handle('/slow/1', {
      onRequest: (_, given) => {
        context = given
        return new Promise((_resolve, reject) => {
          given.signal.addEventListener('abort', () => reject(given.signal.reason), { once: true })
        })
      }
    })
    const reason = new Error('enough')
    const controller = new AbortController()
    const request = a.request(b.peerId, '/slow/1', new Uint8Array(1), { signal: controller.signal })
    request.catch(() => undefined)
    await until(
      () => context !== undefined,
      () => a.ping(b.peerId),
      'the handler runs'
    )
    assertEqual(context?.signal.aborted, false, 'the signal while the caller waits')
    controller.abort(reason)
    assert((await assertRejects(request, 'request')) === reason, 'another reason')
    await until(
      () => context?.signal.aborted === true,
      () => a.ping(b.peerId),
      'the handler is told'
    )
  })

  it('refuses requests and answers above the limit', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    await b.handle('/big/1', { onRequest: async () => new Uint8Array(101) }, { maxFrameBytes: 100 })
    const own = a.request(b.peerId, '/big/1', new Uint8Array(11), { maxFrameBytes: 10 })
    await assertRejectsWith(own, 'ERR_NETWORK_FRAME_TOO_LARGE', 'above the own limit')
    const theirs = a.request(b.peerId, '/big/1', new Uint8Array(101))
    await assertRejectsWith(theirs, 'ERR_NETWORK_REQUEST_FAILED', 'above the limit of the handler')
    const answer = a.request(b.peerId, '/big/1', new Uint8Array(1))
    await assertRejectsWith(answer, 'ERR_NETWORK_REQUEST_FAILED', 'an answer above the limit of the handler')
    await b.handle('/big/2', { onRequest: async () => new Uint8Array(101) })
    const long = a.request(b.peerId, '/big/2', new Uint8Array(1), { maxFrameBytes: 100 })
    await assertRejectsWith(long, 'ERR_NETWORK_FRAME_TOO_LARGE', 'an answer above the own limit')
  })

  it('bounds the streams of one peer', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const handler = {
      onChannel: async (channel: { receive(): Promise<unknown> }) => void (await channel.receive())
    }
    await b.handle('/few/1', handler, { maxStreamsPerPeer: 3 })
    const open = await Promise.all([1, 2, 3].map(() => a.open(b.peerId, '/few/1')))
    await a.ping(b.peerId)
    const more = a.open(b.peerId, '/few/1').then((channel) => channel.receive())
    const codes = ['ERR_NETWORK_CHANNEL_CLOSED', 'ERR_NETWORK_UNREACHABLE']
    await assertRejectsWith(more, codes, 'one stream too many')
    for (const channel of open) await channel.close()
    await until(
      () =>
        a.open(b.peerId, '/few/1').then(
          async (channel) => {
            const end = channel.receive()
            await channel.close()
            return end.then(
              (frame) => frame === undefined,
              () => false
            )
          },
          () => false
        ),
      macrotask,
      'a stream is free again'
    )
  })

  it('outlives garbage', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    const random = createSeededRandom('garbage')
    let largest = 0
    await b.handle(
      '/framed/1',
      {
        onChannel: async (channel) => {
          for (;;) {
            const frame = await channel.receive()
            if (frame === undefined) return
            largest = Math.max(largest, frame.length)
          }
        }
      },
      { maxFrameBytes: 1000, maxStreamsPerPeer: 1000 }
    )
    await b.handle('/framed/2', { onRequest: async (payload) => payload }, { maxFrameBytes: 1000 })
    for (let round = 0; round < 60; round++) {
      const stream = await a.openStream(b.peerId, round % 2 === 0 ? '/framed/1' : '/framed/2')
      const bytes = random.bytes(Math.floor(random.next() * 3000))
      // Half of the time with a length that could be true.
      if (random.next() < 0.5 && bytes.length > 2) bytes.set([0, 0, (bytes[2] ?? 0) & 3])
      const ending = stream.write(bytes).then(() => (random.next() < 0.5 ? stream.close() : stream.abort()))
      await ending.catch(() => undefined)
      stream.abort()
    }
    assertEqual(
      await a.request(b.peerId, '/framed/2', Uint8Array.of(1)),
      Uint8Array.of(1),
      'answer afterwards'
    )
    assert(largest <= 1000, `a frame of ${largest} bytes has passed`)
  })
}

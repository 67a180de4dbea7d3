import type { ByteStream, TopicMessage } from '@kwaai/interface'
import { assert, assertEqual, assertRejectsWith } from '../assert.ts'
import { connectedPair, pattern, until, type NetworkTest } from './harness.ts'

async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
    assert(bytes.length > 0, 'a read gave no bytes')
    chunks.push(bytes)
  }
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}

/** Byte streams, and topics. */
export function streamTests(it: NetworkTest): void {
  it('carries bytes under any protocol name', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    if (!a.supports.streams) {
      return void (await assertRejectsWith(
        a.openStream(b.peerId, 'x'),
        'ERR_NETWORK_UNSUPPORTED',
        'openStream'
      ))
    }
    for (const protocol of ['/bytes/1', 'DHTProtocol.rpc_ping']) {
      await b.handle(protocol, {
        onStream: async (stream) => {
          assertEqual([stream.peer, stream.protocol], [a.peerId, protocol], 'peer and protocol')
          const bytes = await readAll(stream)
          await stream.write(bytes.subarray(0, 10))
          await stream.write(new Uint8Array())
          await stream.write(bytes.subarray(10))
        }
      })
      const stream = await a.openStream(b.peerId, protocol)
      assertEqual([stream.peer, stream.protocol], [b.peerId, protocol], 'peer and protocol')
      const bytes = pattern(500_000, 1)
      const sending = (async () => {
        for (let at = 0; at < bytes.length; at += 33_333) await stream.write(bytes.subarray(at, at + 33_333))
        await stream.closeWrite()
      })()
      assertEqual(await readAll(stream), bytes, `bytes of ${protocol}`)
      await sending
      await stream.close()
      await assertRejectsWith(
        stream.write(Uint8Array.of(1)),
        'ERR_NETWORK_CHANNEL_CLOSED',
        'write after close'
      )
    }
  })

  it('speaks length-prefixed frames: four bytes, big-endian', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    if (!a.supports.streams) return
    await b.handle('/frames/1', { onRequest: async (payload) => Uint8Array.of(9, ...payload) })
    const stream = await a.openStream(b.peerId, '/frames/1')
    for (const byte of [0, 0, 0, 2, 7, 8]) await stream.write(Uint8Array.of(byte))
    assertEqual(await readAll(stream), Uint8Array.of(0, 0, 0, 3, 9, 7, 8), 'answer')
    await stream.close()
  })

  it('refuses a stream that ends inside a frame', 2, async (networks) => {
    const [a, b] = await connectedPair(networks)
    if (!a.supports.streams) return
    let calls = 0
    await b.handle('/frames/1', {
      onRequest: async (payload) => {
        calls += 1
        return payload
      }
    })
    for (const bytes of [[], [0, 0], [0, 0, 0, 2, 7]]) {
      const stream = await a.openStream(b.peerId, '/frames/1')
      await stream.write(Uint8Array.from(bytes))
      await stream.closeWrite()
      await assertRejectsWith(stream.read(), 'ERR_NETWORK_CHANNEL_CLOSED', `read after ${bytes.length} bytes`)
    }
    assertEqual(calls, 0, 'calls of the handler')
  })

  it('carries topics, or says that it does not', 3, async ([a, b, c]) => {
    assert(a !== undefined && b !== undefined && c !== undefined, 'no networks')
    if (!a.supports.pubsub) {
      const publish = a.publish('news', Uint8Array.of(1))
      await assertRejectsWith(publish, 'ERR_NETWORK_UNSUPPORTED', 'publish')
      const subscribe = (async () => a.subscribe('news', () => undefined))()
      return void (await assertRejectsWith(subscribe, 'ERR_NETWORK_UNSUPPORTED', 'subscribe'))
    }
    await connectedPair([a, b])
    await connectedPair([a, c])
    const heard: TopicMessage[] = []
    const own: TopicMessage[] = []
    const other: TopicMessage[] = []
    a.subscribe('news', (message) => own.push(message))
    const stop = b.subscribe('news', (message) => heard.push(message))
    c.subscribe('sport', (message) => other.push(message))
    const data = Uint8Array.of(1)
    await until(
      async () => {
        await a.publish('news', data)
        return heard.length > 0
      },
      () => a.ping(b.peerId),
      'the message arrives'
    )
    data[0] = 2
    assertEqual(heard[0], { topic: 'news', from: a.peerId, data: Uint8Array.of(1) }, 'message')
    stop()
    const count = heard.length
    await a.publish('news', data)
    await a.ping(b.peerId)
    assertEqual([heard.length, own.length, other.length], [count, 0, 0], 'messages heard')
    const long = a.publish('news', new Uint8Array(1024 * 1024))
    await assertRejectsWith(long, 'ERR_NETWORK_FRAME_TOO_LARGE', 'a message of 1 MiB')
  })
}

import { KwaaiError } from '@kwaai/interface'
import { createFrameReader, createStreamPair, encodeFrame, type RawStream } from '@kwaai/interface/streams'
import { assert, asyncProperty, array, constant, nat, oneof, property, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'

const limit = 300

/** A stream that gives these chunks and then ends. */
function streamOf(chunks: readonly Uint8Array[]): RawStream {
  const left = [...chunks]
  return {
    peer: 'peer',
    protocol: '/frames/1',
    closed: new AbortController().signal,
    read: async () => left.shift(),
    write: async () => undefined,
    closeWrite: async () => undefined,
    abort: () => undefined
  }
}

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  return ends
    .map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
    .filter((chunk) => chunk.length > 0)
}

const join = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]))

test('frames come out as they went in, however the bytes are cut', async () => {
  const frames = array(uint8Array({ maxLength: limit }), { maxLength: 8 })
  await assert(
    asyncProperty(frames, array(nat(), { maxLength: 20 }), async (sent, places) => {
      const bytes = join(sent.map((frame) => encodeFrame(frame, limit, '/frames/1')))
      const next = createFrameReader(streamOf(cut(bytes, places)), limit)
      for (const frame of sent) expect(await next()).toEqual(frame)
      expect(await next()).toBeUndefined()
    })
  )
})

test('a frame is its length in four bytes, big-endian, and its bytes', () => {
  assert(
    property(array(uint8Array({ maxLength: 40 }), { maxLength: 5 }), (parts) => {
      const payload = join(parts)
      const encoded = encodeFrame(parts, limit, '/frames/1')
      expect([...encoded.subarray(0, 4)]).toEqual([0, 0, 0, payload.length])
      expect(encoded.subarray(4)).toEqual(payload)
      expect(encodeFrame(payload, limit, '/frames/1')).toEqual(encoded)
    })
  )
})

test('any bytes at all give frames within the limit or a typed error', async () => {
  // Half of the chunks are lengths that may be true, so that the reader gets far.
  const length = nat(2 * limit).map((value) => Uint8Array.of(0, 0, value >> 8, value & 255))
  const chunk = oneof(uint8Array({ minLength: 1, maxLength: 600 }), length, constant(new Uint8Array(1)))
  await assert(
    asyncProperty(array(chunk, { maxLength: 30 }), async (chunks) => {
      const next = createFrameReader(streamOf(chunks), limit)
      try {
        for (let frame = await next(); frame !== undefined; frame = await next()) {
          expect(frame.length).toBeLessThanOrEqual(limit)
          expect(frame.buffer.byteLength).toBe(frame.length)
        }
      } catch (error) {
        const codes = ['ERR_NETWORK_FRAME_TOO_LARGE', 'ERR_NETWORK_CHANNEL_CLOSED']
        expect(KwaaiError.is(error) && codes.includes(error.code)).toBe(true)
      }
    })
  )
})

test('a length alone claims no memory: it is had as the bytes arrive', async () => {
  const allocated: number[] = []
  const Original = globalThis.Uint8Array
  const frame = new Uint8Array(8 * 1024 * 1024)
  const bytes = encodeFrame(frame, frame.length, '/frames/1')
  const chunks = cut(bytes, [4, 1000, 100_000, 1_000_000])
  const [near, far] = createStreamPair({ peers: ['a', 'b'], protocol: '/frames/1', bufferedBytes: 2 ** 30 })
  const next = createFrameReader(far, frame.length)
  let arrived = 0
  try {
    globalThis.Uint8Array = new Proxy(Original, {
      construct: (target, given: [number]) => {
        if (typeof given[0] === 'number') allocated.push(given[0])
        return Reflect.construct(target, given)
      }
    })
    for (const chunk of chunks.slice(0, -1)) {
      await near.write(chunk)
      arrived += chunk.length
      const wait = new AbortController()
      const reading = next({ signal: wait.signal })
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      wait.abort()
      await reading.catch(() => undefined)
      expect(Math.max(...allocated)).toBeLessThanOrEqual(Math.max(64 * 1024, 2 * arrived))
    }
  } finally {
    globalThis.Uint8Array = Original
  }
  expect(allocated.length).toBeGreaterThan(1)
  await near.write(chunks.at(-1) ?? new Uint8Array())
  expect((await next())?.length).toBe(frame.length)
})

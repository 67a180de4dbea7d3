import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createFrameReader, encodeFrame, maxDataBytes, maxHeadBytes, type Frame } from '../src/ggml/frames.ts'

const bytes = fc.uint8Array({ maxLength: 300 })
const frame = fc.record({ head: fc.jsonValue(), data: fc.array(bytes, { maxLength: 3 }) })

it('gives frames back however their bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      fc.array(fc.nat(400), { maxLength: 20 }),
      (frames, cuts) => {
        const read: Frame<unknown>[] = []
        const reader = createFrameReader<unknown>((whole) => read.push(whole))
        const stream = Buffer.concat(frames.map(({ head, data }) => encodeFrame(head, data)))
        let at = 0
        for (const length of cuts) {
          reader(stream.subarray(at, at + length))
          at += length
        }
        reader(stream.subarray(at))
        expect(read).toHaveLength(frames.length)
        for (const [i, { head, data }] of frames.entries()) {
          expect(JSON.stringify(read[i]?.head)).toBe(JSON.stringify(head))
          expect(read[i]?.data).toEqual(new Uint8Array(Buffer.concat(data)))
          expect(read[i]?.data.byteOffset).toBe(0)
        }
      }
    )
  )
})

it('takes floats for the bytes they are', () => {
  let read: Uint8Array<ArrayBuffer> | undefined
  const rows = Float32Array.of(1, 2, 3, 4)
  createFrameReader(({ data }) => (read = data))(encodeFrame({}, [rows.subarray(1, 3), rows.subarray(3)]))
  expect([...new Float32Array(read?.buffer as ArrayBuffer)]).toEqual([2, 3, 4])
})

it.each([
  [maxHeadBytes + 1, 0],
  [2, maxDataBytes + 1],
  [2 ** 32 - 1, 2 ** 32 - 1]
])('refuses a frame of %i and %i bytes before it takes memory', (head, data) => {
  const prefix = Buffer.alloc(8)
  prefix.writeUInt32LE(head, 0)
  prefix.writeUInt32LE(data, 4)
  const before = process.memoryUsage().arrayBuffers
  expect(() => createFrameReader(() => undefined)(prefix)).toThrow(RangeError)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
})

it('refuses a head that is no JSON', () => {
  expect(() => createFrameReader(() => undefined)(Buffer.from('\x02\0\0\0\0\0\0\0{]'))).toThrow(SyntaxError)
})

import type { ByteSource } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readSafetensors } from '../src/encoder/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { refused } from './encoder-kit.ts'
import { safetensorsFile, withHeader } from './encoder-toy.ts'

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i)
const file = safetensorsFile(
  [
    { name: 'a', dtype: 'F32', shape: [2, 1], data: bytes(8) },
    { name: 'empty', dtype: 'F16', shape: [0, 7], data: bytes(0) },
    { name: 'b', dtype: 'I64', shape: [], data: bytes(8) },
    { name: '__proto__', dtype: 'U8', shape: [3], data: bytes(3) }
  ],
  { format: 'pt' }
)
const headerOf = (header: unknown, ...data: Uint8Array[]): ByteSource =>
  bytesSource(withHeader(JSON.stringify(header), ...data))

test('the header of a file', async () => {
  const { tensors, metadata } = await readSafetensors(bytesSource(file))
  const base = file.length - 19
  expect([...tensors.values()]).toEqual([
    { name: 'a', type: 'F32', shape: [2, 1], offset: base, byteLength: 8 },
    { name: 'empty', type: 'F16', shape: [0, 7], offset: base + 8, byteLength: 0 },
    { name: 'b', type: 'I64', shape: [], offset: base + 8, byteLength: 8 },
    { name: '__proto__', type: 'U8', shape: [3], offset: base + 16, byteLength: 3 }
  ])
  expect(metadata).toEqual({ format: 'pt' })
})

test('tensors may stand in any order, and a header may end in spaces', async () => {
  const header =
    '{"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"a":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}}   '
  const { tensors } = await readSafetensors(bytesSource(withHeader(header, bytes(3))))
  expect([...tensors.keys()]).toEqual(['b', 'a'])
})

describe('what is no safetensors file is refused', () => {
  const entry = (dtype: unknown, shape: unknown, offsets: unknown): object => ({
    t: { dtype, shape, data_offsets: offsets }
  })
  test.each<[string, ByteSource, RegExp]>([
    ['text', bytesSource(withHeader('hello', bytes(3))), /no JSON/],
    ['a list', headerOf([]), /no JSON object/],
    ['null', headerOf(null), /no JSON object/],
    ['UTF-8 that is none', bytesSource(withHeader(Uint8Array.of(0x7b, 0xff, 0x7d))), /no JSON/],
    ['brackets without end', bytesSource(withHeader('['.repeat(1_000_000))), /no JSON/],
    ['a tensor that is a number', headerOf({ t: 1 }), /is no object/],
    ['an unknown type', headerOf(entry('F12', [1], [0, 4]), bytes(4)), /unknown type F12/],
    ['a type of the prototype', headerOf(entry('toString', [1], [0, 4]), bytes(4)), /unknown type/],
    ['a negative dimension', headerOf(entry('U8', [-1], [0, 1]), bytes(1)), /no possible shape/],
    ['half a dimension', headerOf(entry('U8', [0.5], [0, 1]), bytes(1)), /no possible shape/],
    ['nine dimensions', headerOf(entry('U8', Array(9).fill(1), [0, 1]), bytes(1)), /no possible shape/],
    ['a shape beyond numbers', headerOf(entry('U8', [2 ** 40, 2 ** 40], [0, 1]), bytes(1)), /asks for/],
    ['three offsets', headerOf(entry('U8', [1], [0, 1, 2]), bytes(1)), /no offsets/],
    ['offsets backwards', headerOf(entry('U8', [1], [1, 0]), bytes(1)), /-1 bytes/],
    ['too few bytes', headerOf(entry('F32', [2], [0, 4]), bytes(4)), /asks for 8/],
    ['a hole', headerOf(entry('U8', [1], [1, 2]), bytes(2)), /nothing is said of the 1 bytes/],
    ['bytes at the end', headerOf(entry('U8', [1], [0, 1]), bytes(5)), /last 4 bytes/],
    ['metadata that is no text', headerOf({ __metadata__: { a: 1 } }), /__metadata__\.a is no text/],
    ['metadata that is a list', headerOf({ __metadata__: [] }), /no object/],
    [
      'an overlap',
      headerOf(
        {
          a: { dtype: 'U8', shape: [2], data_offsets: [0, 2] },
          b: { dtype: 'U8', shape: [2], data_offsets: [1, 3] }
        },
        bytes(3)
      ),
      /b overlaps/
    ],
    ['a long name', headerOf({ ['x'.repeat(2000)]: {} }), /2000 characters/]
  ])('%s', async (_, source, why) => {
    expect((await refused(readSafetensors(source), 'ERR_SAFETENSORS_INVALID')).message).toMatch(why)
  })

  test('a file that ends too early, at every byte', async () => {
    for (let length = 0; length < file.length; length++)
      await refused(readSafetensors(bytesSource(file.slice(0, length))), 'ERR_SAFETENSORS_TRUNCATED')
  })

  test('a header that is too long is not read', async () => {
    const reads: number[] = []
    const source: ByteSource = {
      size: 2 ** 40,
      async read(_, length) {
        reads.push(length)
        return Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)
      }
    }
    await refused(readSafetensors(source), 'ERR_SAFETENSORS_LIMIT_EXCEEDED')
    expect(reads).toEqual([8])
  })

  test('more tensors than are allowed', async () => {
    const source = bytesSource(file)
    await refused(readSafetensors(source, { maxTensors: 3 }), 'ERR_SAFETENSORS_LIMIT_EXCEEDED')
    await expect(readSafetensors(source, { maxTensors: 4 })).resolves.toBeDefined()
  })

  test('whatever bytes are turned over: a typed error, or a header that fits the file', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (changes) => {
          const spoilt = file.slice()
          for (const [at, value] of changes) spoilt[at] = value
          const result = await readSafetensors(bytesSource(spoilt)).catch((error: unknown) => error)
          if (KwaaiError.is(result)) {
            expect(result.code).toMatch(/^ERR_SAFETENSORS_/)
            return
          }
          const { tensors } = result as Awaited<ReturnType<typeof readSafetensors>>
          for (const { offset, byteLength } of tensors.values())
            expect(offset + byteLength).toBeLessThanOrEqual(spoilt.length)
        }
      ),
      { numRuns: 500 }
    )
  })
})

test('the signal goes to the source', async () => {
  await expect(
    readSafetensors(bytesSource(file), { signal: AbortSignal.abort(new Error('enough')) })
  ).rejects.toThrow('enough')
})

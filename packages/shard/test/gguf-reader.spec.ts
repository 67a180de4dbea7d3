import { KwaaiError, type ByteSource } from '@kwaai/interface'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesSource,
  llamaConfig,
  metadataBoolean,
  metadataLength,
  metadataNumber,
  metadataNumbers,
  metadataString,
  metadataStrings,
  readGguf,
  tensorBytes,
  tensorTypes,
  writeGguf,
  type GgufValue,
  type TensorType
} from '../src/gguf/index.ts'
import { seeded, toyModel } from './toy-model.ts'

const toy = toyModel({ hiddenSize: 32, headSize: 8, feedForwardSize: 32, blockCount: 2, type: 'Q4_1' })

const read = (bytes: Uint8Array, options = {}) => readGguf(bytesSource(bytes), options)

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason
  )
  if (error === undefined) return 'no error'
  return KwaaiError.is(error) ? error.code : `untyped: ${String(error)}`
}

/** A header written by hand, so that it can be wrong. */
function header(...parts: (number | bigint | string | Uint8Array)[]): Uint8Array {
  const bytes: number[] = []
  const word = (value: bigint, length: number): void => {
    for (let i = 0; i < length; i++) bytes.push(Number((value >> BigInt(8 * i)) & 255n))
  }
  for (const part of parts) {
    if (typeof part === 'number') word(BigInt(part), 4)
    else if (typeof part === 'bigint') word(part, 8)
    else if (typeof part === 'string') {
      const text = new TextEncoder().encode(part)
      word(BigInt(text.length), 8)
      bytes.push(...text)
    } else bytes.push(...part)
  }
  return Uint8Array.from(bytes)
}
const magic = 0x46554747

describe('readGguf', () => {
  test('reads back what writeGguf wrote', async () => {
    const word = fc.string({ unit: 'grapheme', maxLength: 12 })
    const value: fc.Arbitrary<GgufValue> = fc.oneof(
      fc.integer({ min: 0, max: 255 }).map((value) => ({ type: 'uint8' as const, value })),
      fc.integer({ min: -128, max: 127 }).map((value) => ({ type: 'int8' as const, value })),
      fc.integer({ min: 0, max: 65_535 }).map((value) => ({ type: 'uint16' as const, value })),
      fc.integer({ min: -32_768, max: 32_767 }).map((value) => ({ type: 'int16' as const, value })),
      fc.nat(0xffff_ffff).map((value) => ({ type: 'uint32' as const, value })),
      fc.integer().map((value) => ({ type: 'int32' as const, value })),
      fc.maxSafeNat().map((value) => ({ type: 'uint64' as const, value })),
      fc.maxSafeInteger().map((value) => ({ type: 'int64' as const, value })),
      fc.float().map((value) => ({ type: 'float32' as const, value })),
      fc.double().map((value) => ({ type: 'float64' as const, value })),
      fc.boolean().map((value) => ({ type: 'bool' as const, value })),
      word.map((value) => ({ type: 'string' as const, value })),
      fc
        .array(word)
        .map((value) => ({ type: 'array' as const, of: 'string' as const, length: value.length, value })),
      fc
        .array(fc.integer())
        .map((value) => ({ type: 'array' as const, of: 'int32' as const, length: value.length, value })),
      fc
        .array(fc.boolean())
        .map((value) => ({ type: 'array' as const, of: 'bool' as const, length: value.length, value }))
    )
    const tensor = fc.record({
      type: fc.constantFrom<TensorType>('F32', 'F16', 'Q4_0', 'Q8_0', 'I8'),
      shape: fc.tuple(fc.constantFrom(32, 64), fc.integer({ min: 1, max: 3 })),
      seed: fc.nat()
    })
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(word, value, { maxKeys: 6 }),
        fc.array(tensor, { maxLength: 4 }),
        fc.constantFrom(16, 4096),
        async (metadata, specs, readBytes) => {
          const tensors = specs.map(({ type, shape, seed }, i) => {
            const data = new Uint8Array(tensorBytes(type, shape) as number).fill(seed & 255)
            return { name: `t${i}`, type, shape, data }
          })
          const bytes = writeGguf({ metadata: Object.entries(metadata), tensors })
          const file = await read(bytes, { readBytes })
          expect([...file.metadata]).toEqual(Object.entries(metadata))
          expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name))
          for (const { name, type, shape, data } of tensors) {
            const found = file.tensors.get(name)
            expect(found).toMatchObject({ name, type, shape, byteLength: data.length })
            const at = found?.offset ?? -1
            expect(at % file.alignment).toBe(0)
            expect(bytes.slice(at, at + data.length)).toEqual(data)
          }
        }
      ),
      { numRuns: 150, seed: 1 }
    )
  })

  test('reads a header in small pieces, and skips arrays without reading their values', async () => {
    const sizes: number[] = []
    const source: ByteSource = {
      size: toy.length,
      read: async (at, length) => {
        sizes.push(length)
        return toy.slice(at, at + length)
      }
    }
    const whole = await read(toy)
    expect(await readGguf(source, { readBytes: 512 })).toEqual(whole)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1024)
    const skipped = await readGguf(source, { readBytes: 512, skipArrays: () => true })
    expect(skipped.tensors).toEqual(whole.tensors)
    expect(skipped.metadata.get('tokenizer.ggml.tokens')).toEqual({
      type: 'array',
      of: 'string',
      length: 300
    })
    expect(metadataLength(skipped, 'tokenizer.ggml.tokens')).toBe(300)
    expect(() => metadataStrings(skipped, 'tokenizer.ggml.tokens')).toThrow('was skipped')
    expect(llamaConfig(skipped)).toEqual(llamaConfig(whole))
  })

  test('hands out metadata by type', async () => {
    const file = await read(toy)
    expect(metadataString(file, 'general.architecture')).toBe('llama')
    expect(metadataNumber(file, 'llama.block_count')).toBe(2)
    expect(metadataBoolean(file, 'tokenizer.ggml.add_bos_token')).toBe(false)
    expect(metadataStrings(file, 'tokenizer.ggml.tokens')?.slice(0, 2)).toEqual([
      '<|endoftext|>',
      '<|im_start|>'
    ])
    expect(metadataNumbers(file, 'tokenizer.ggml.token_type')?.slice(0, 4)).toEqual([3, 3, 3, 1])
    for (const get of [metadataString, metadataNumber, metadataBoolean, metadataStrings, metadataNumbers])
      expect(get(file, 'none')).toBeUndefined()
    expect(() => metadataNumber(file, 'general.architecture')).toThrow('is not a number')
    expect(() => metadataString(file, 'llama.block_count')).toThrow('is not a text')
    expect(() => metadataNumbers(file, 'tokenizer.ggml.tokens')).toThrow('is not an array of numbers')
    expect(() => metadataStrings(file, 'tokenizer.ggml.token_type')).toThrow('is not an array of texts')
    expect(() => metadataBoolean(file, 'llama.block_count')).toThrow('is not true or false')
  })

  test('reads version 2', async () => {
    const bytes = toy.slice()
    bytes[4] = 2
    expect((await read(bytes)).version).toBe(2)
  })

  test('keeps a byte-order mark in a text', async () => {
    const value = '\uFEFFa'
    const bytes = writeGguf({ metadata: [['k', { type: 'string', value }]], tensors: [] })
    expect(metadataString(await read(bytes), 'k')).toBe(value)
  })

  test('takes its signal along', async () => {
    const reason = new Error('enough')
    await expect(read(toy, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('a file that is not as it should be', () => {
  const tensor = (name: string, shape: bigint[], type: number, offset: bigint): Uint8Array =>
    header(name, shape.length, ...shape, type, offset)
  const padded = (bytes: Uint8Array, data: number): Uint8Array => {
    const out = new Uint8Array(Math.ceil(bytes.length / 32) * 32 + data)
    out.set(bytes)
    return out
  }
  const cases: Record<string, [string, Uint8Array]> = {
    'nothing at all': ['ERR_GGUF_TRUNCATED', new Uint8Array(0)],
    'another magic': ['ERR_GGUF_INVALID', header(magic + 1, 3, 0n, 0n)],
    'version 1': ['ERR_GGUF_UNSUPPORTED', header(magic, 1, 0n, 0n)],
    'version 4': ['ERR_GGUF_UNSUPPORTED', header(magic, 4, 0n, 0n)],
    'big-endian': ['ERR_GGUF_UNSUPPORTED', header(magic, 0x0300_0000, 0n, 0n)],
    'a header cut off': ['ERR_GGUF_TRUNCATED', header(magic, 3, 0n)],
    'too many tensors': ['ERR_GGUF_LIMIT_EXCEEDED', header(magic, 3, 1n << 40n, 0n)],
    'too many keys': ['ERR_GGUF_LIMIT_EXCEEDED', header(magic, 3, 0n, 1n << 40n)],
    'a count beyond 2^53': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 1n << 60n)],
    'keys that are not there': ['ERR_GGUF_TRUNCATED', header(magic, 3, 0n, 1n)],
    'a key longer than the file': ['ERR_GGUF_TRUNCATED', header(magic, 3, 0n, 1n, 1000n)],
    'a key above the limit': ['ERR_GGUF_LIMIT_EXCEEDED', header(magic, 3, 0n, 1n, 1n << 33n)],
    'a key twice': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 2n, 'a', 4, 1, 'a', 4, 1)],
    'a key that is not UTF-8': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 1n, 1n, Uint8Array.of(0xff), 4, 1)],
    'a text that is not UTF-8': [
      'ERR_GGUF_INVALID',
      header(magic, 3, 0n, 1n, 'a', 8, 1n, Uint8Array.of(0xff))
    ],
    'an unknown value type': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 1n, 'a', 13, 1)],
    'a truth value of 2': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 1n, 'a', 7, Uint8Array.of(2))],
    'a number beyond 2^53': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 1n, 'a', 10, 1n << 53n)],
    'an array of arrays': ['ERR_GGUF_UNSUPPORTED', header(magic, 3, 0n, 1n, 'a', 9, 9, 1n, 9, 4, 0n)],
    'an array above the limit': ['ERR_GGUF_LIMIT_EXCEEDED', header(magic, 3, 0n, 1n, 'a', 9, 4, 1n << 40n)],
    'an array that does not fit': ['ERR_GGUF_TRUNCATED', header(magic, 3, 0n, 1n, 'a', 9, 8, 2_000_000n, 0n)],
    'an alignment that is no power of two': [
      'ERR_GGUF_INVALID',
      header(magic, 3, 0n, 1n, 'general.alignment', 4, 24)
    ],
    'an alignment of zero': ['ERR_GGUF_INVALID', header(magic, 3, 0n, 1n, 'general.alignment', 4, 0)],
    'a tensor twice': [
      'ERR_GGUF_INVALID',
      padded(header(magic, 3, 2n, 0n, tensor('a', [1n], 0, 0n), tensor('a', [1n], 0, 32n)), 64)
    ],
    'tensors that overlap': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 2n, 0n, tensor('a', [9n], 0, 0n), tensor('b', [1n], 0, 32n)), 64)
    ],
    'a tensor between the aligned places': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [1n], 0, 8n)), 64)
    ],
    'a tensor past the end': [
      'ERR_GGUF_TRUNCATED',
      padded(header(magic, 3, 1n, 0n, tensor('a', [17n], 0, 0n)), 64)
    ],
    'an offset that overflows': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [1n], 0, (1n << 53n) - 1n)), 64)
    ],
    'a size that overflows': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [1n << 50n, 1n << 50n], 0, 0n)), 64)
    ],
    'an empty tensor': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [0n], 0, 0n)), 64)
    ],
    'a tensor without dimensions': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [], 0, 0n)), 64)
    ],
    'a tensor of five dimensions': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [1n, 1n, 1n, 1n, 1n], 0, 0n)), 64)
    ],
    'a tensor of an unknown type': [
      'ERR_GGUF_UNSUPPORTED',
      padded(header(magic, 3, 1n, 0n, tensor('a', [32n], 99, 0n)), 64)
    ],
    'a tensor of a type that is gone': [
      'ERR_GGUF_UNSUPPORTED',
      padded(header(magic, 3, 1n, 0n, tensor('a', [32n], 4, 0n)), 64)
    ],
    'rows that are no whole blocks': [
      'ERR_GGUF_INVALID_TENSOR',
      padded(header(magic, 3, 1n, 0n, tensor('a', [33n], 2, 0n)), 64)
    ],
    'a tensor name above 63 bytes': [
      'ERR_GGUF_LIMIT_EXCEEDED',
      padded(header(magic, 3, 1n, 0n, tensor('a'.repeat(64), [1n], 0, 0n)), 64)
    ]
  }
  for (const [name, [code, bytes]] of Object.entries(cases))
    test(`${name}: ${code}`, async () => {
      expect(await codeOf(read(bytes))).toBe(code)
    })

  test('limits are the caller’s to set', async () => {
    expect(await codeOf(read(toy, { limits: { headerBytes: 1000 } }))).toBe('ERR_GGUF_LIMIT_EXCEEDED')
    expect(await codeOf(read(toy, { limits: { arrayLength: 299 } }))).toBe('ERR_GGUF_LIMIT_EXCEEDED')
    expect(await codeOf(read(toy, { limits: { stringBytes: 20 } }))).toBe('ERR_GGUF_LIMIT_EXCEEDED')
    expect(await codeOf(read(toy, { limits: { keys: 5 } }))).toBe('ERR_GGUF_LIMIT_EXCEEDED')
    expect(await codeOf(read(toy, { limits: { tensors: 5 } }))).toBe('ERR_GGUF_LIMIT_EXCEEDED')
    expect(await codeOf(read(toy, { limits: { keyBytes: 10 } }))).toBe('ERR_GGUF_LIMIT_EXCEEDED')
    expect(await codeOf(read(toy, { limits: { arrayLength: 300 } }))).toBe('no error')
  })

  test('every truncation is a typed error', async () => {
    const { dataOffset } = await read(toy)
    for (let size = 0; size < dataOffset; size += 7)
      expect(await codeOf(read(toy.subarray(0, size)))).toBe('ERR_GGUF_TRUNCATED')
    expect(await codeOf(read(toy.subarray(0, toy.length - 32)))).toBe('ERR_GGUF_TRUNCATED')
  })

  test('mutated headers give a typed error or a valid file, and never read past what there is', async () => {
    const { dataOffset } = await read(toy)
    const next = seeded(7)
    const outcomes = new Map<string, number>()
    let largest = 0
    for (let run = 0; run < 4000; run++) {
      const bytes = toy.slice()
      for (let i = 0; i <= run % 4; i++) {
        const at = Math.floor(next() * dataOffset)
        if (run % 3 === 0) bytes.fill(next() < 0.5 ? 0xff : 0, at, at + 8)
        else bytes[at] = Math.floor(next() * 256)
      }
      const source: ByteSource = {
        size: bytes.length,
        async read(at, length) {
          largest = Math.max(largest, length)
          if (at < 0 || at + length > bytes.length) throw new Error('read past the end')
          return bytes.slice(at, at + length)
        }
      }
      const code = await codeOf(
        readGguf(source, { readBytes: 4096 }).then((file) => {
          for (const tensor of file.tensors.values()) {
            expect(tensor.offset).toBeGreaterThanOrEqual(file.dataOffset)
            expect(tensor.offset + tensor.byteLength).toBeLessThanOrEqual(bytes.length)
          }
          llamaConfig(file)
        })
      )
      expect(code).toMatch(/^(ERR_GGUF_[A-Z_]+|no error)$/)
      outcomes.set(code, (outcomes.get(code) ?? 0) + 1)
    }
    expect(largest).toBeLessThanOrEqual(toy.length)
    // The fuzzer reaches more than one kind of failure, and leaves some files whole.
    expect(outcomes.size).toBeGreaterThanOrEqual(6)
  }, 30_000)
})

test('tensor types have the sizes of whole blocks', () => {
  for (const [name, { blockSize, blockBytes }] of Object.entries(tensorTypes)) {
    expect(tensorBytes(name as TensorType, [blockSize * 2, 3])).toBe(blockBytes * 6)
    if (blockSize > 1) expect(tensorBytes(name as TensorType, [blockSize + 1])).toBeUndefined()
  }
  const ids = Object.values(tensorTypes).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})

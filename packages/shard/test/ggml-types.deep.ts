import type { BlockRunner, RowKernel } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'
import { expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource, readGguf, tensorTypes, writeGguf, type TensorType } from '../src/gguf/index.ts'
import { bits } from './ggml-kit.ts'
import { toyModel } from './toy-model.ts'

// Every quantised type: that a single row, few and many rows give equal bits is a property of each type's
// kernels, and so is that one thread and two do.

// Where a block keeps its half-precision scales (ggml-common.h); the rest may be any bytes.
const scales: readonly (readonly [type: TensorType, offsets: readonly number[]])[] = [
  ['Q4_0', [0]],
  ['Q4_1', [0, 2]],
  ['Q5_0', [0]],
  ['Q5_1', [0, 2]],
  ['Q8_0', [0]],
  ['Q2_K', [80, 82]],
  ['Q3_K', [108]],
  ['Q4_K', [0, 2]],
  ['Q5_K', [0, 2]],
  ['Q6_K', [208]],
  ['IQ4_NL', [0]],
  ['IQ4_XS', [0]],
  ['IQ3_S', [0]],
  ['IQ3_XXS', [0]],
  ['IQ2_S', [0]],
  ['IQ2_XS', [0]],
  ['IQ2_XXS', [0]],
  ['IQ1_S', [0]],
  ['TQ1_0', [52]],
  ['TQ2_0', [64]]
]
const scale = [0x00, 0x14] // 2^-10

/** A model of two blocks whose matrices are of one type, their quantised values random. */
async function randomModel(type: TensorType, offsets: readonly number[]): Promise<Uint8Array> {
  const random = createSeededRandom(type)
  const { blockSize, blockBytes } = tensorTypes[type]
  const shape = { blockCount: 2, hiddenSize: 256, headCount: 4, kvHeadCount: 2, headSize: 64 }
  const plain = toyModel({ ...shape, feedForwardSize: 512 })
  const file = await readGguf(bytesSource(plain))
  const tensors = [...file.tensors.values()].map((tensor) => {
    const { name, shape, offset, byteLength } = tensor
    if (!name.startsWith('blk.') || shape.length < 2)
      return { name, shape, type: tensor.type, data: plain.subarray(offset, offset + byteLength) }
    const count = shape.reduce((a, b) => a * b, 1) / blockSize
    const data = random.bytes(count * blockBytes)
    for (let block = 0; block < count; block++)
      for (const at of offsets) data.set(scale, block * blockBytes + at)
    return { name, shape, type, data }
  })
  return writeGguf({ metadata: file.metadata, tensors })
}

const count = 330
const random = createSeededRandom('rows')
const x = Float32Array.from({ length: count * 256 }, () => random.next() - 0.5)

async function run(runner: BlockRunner, kernel: RowKernel, sizes: readonly number[]): Promise<Float32Array> {
  const session = await runner.open({ maxTokens: count })
  const out = new Float32Array(x.length)
  for (let past = 0, i = 0; past < count; i++) {
    const rows = Math.min(count - past, sizes[i % sizes.length] as number)
    const hidden = x.subarray(past * 256, (past + rows) * 256)
    const [result] = await runner.forward([{ session, past, kernel, hidden }])
    expect(result).toBeInstanceOf(Float32Array)
    out.set(result as Float32Array, past * 256)
    past += rows
  }
  await runner.close(session)
  return out
}

it.each(scales)('%s gives equal bits however rows are grouped, with one thread and two', async (type, at) => {
  const model = bytesSource(await randomModel(type, at))
  await using one = createGgmlBackend({ threads: 1 })
  await using two = createGgmlBackend({ threads: 2 })
  const [a, b] = await Promise.all([one, two].map((backend) => backend.loadBlocks(model, { from: 0, to: 2 })))
  for (const kernel of ['vec', 'tile'] as const) {
    const expected = await run(a as BlockRunner, kernel, [count])
    expect(new Set(expected).size).toBeGreaterThan(1000)
    for (const sizes of [[1], [2, 3], [4, 63], [64, 1]])
      expect(bits(await run(a as BlockRunner, kernel, sizes)).equals(bits(expected)), sizes.join()).toBe(true)
    for (const sizes of [[count], [1, 64]])
      expect(bits(await run(b as BlockRunner, kernel, sizes)).equals(bits(expected)), 'threads').toBe(true)
  }
})

import { blockTensors, tensorTypes, type LlamaConfig } from '../gguf/index.ts'
import type { WeightSpec } from './weights.ts'

/** The shape of the toy: small, yet with shared key heads and matrices of several quantised blocks a row. */
export const toyConfig: LlamaConfig = {
  architecture: 'llama',
  blockCount: 2,
  hiddenSize: 64,
  headCount: 2,
  kvHeadCount: 1,
  headSize: 32,
  vocabularySize: 32,
  contextLength: 256,
  feedForwardSize: 128,
  rmsEpsilon: 1e-5,
  ropeTheta: 10_000,
  ropeDimensions: 32,
  ropeFactors: false,
  tiedHead: true
}

/** A tensor of the toy in both formats; vectors have one. */
export interface ToyTensor {
  name: string
  shape: readonly number[]
  f32: Float32Array
  q4?: Uint8Array
}

/** The numbers of ANSI C's example generator: the same on every machine. */
function createNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state >>> 16
  }
}

// Q4_0: blocks of 32 elements, a half-precision scale, then 16 bytes that hold elements j and j + 16
// (ggml-common.h, `block_q4_0`). The scale is 1/32 throughout.
function quantised(
  next: () => number,
  shape: readonly [number, number]
): { f32: Float32Array; q4: Uint8Array } {
  const count = shape[0] * shape[1]
  const f32 = new Float32Array(count)
  const q4 = new Uint8Array((count / 32) * 18)
  for (let block = 0; block < count / 32; block++) {
    q4.set([0x00, 0x28], block * 18)
    for (let j = 0; j < 16; j++) {
      const byte = next() & 0xff
      q4[block * 18 + 2 + j] = byte
      f32[block * 32 + j] = ((byte & 15) - 8) / 32
      f32[block * 32 + 16 + j] = ((byte >> 4) - 8) / 32
    }
  }
  return { f32, q4 }
}

/** The toy's tensors, block by block. */
export function toyTensors(): ToyTensor[] {
  const next = createNumbers(1)
  const tensors: ToyTensor[] = []
  for (let index = 0; index < toyConfig.blockCount; index++)
    for (const { name, shape, kind } of Object.values(blockTensors(toyConfig, index))) {
      const [columns = 0, rows = 0] = shape
      if (kind === 'matrix') tensors.push({ name, shape, ...quantised(next, [columns, rows]) })
      else
        tensors.push({
          name,
          shape,
          f32: Float32Array.from({ length: columns }, () => 1 + (next() & 63) / 256)
        })
    }
  return tensors
}

/** The toy's tensors as a file would hold them: matrices in one of the two formats. */
export function toyWeights(type: 'F32' | 'Q4_0'): { spec: WeightSpec; bytes: Uint8Array }[] {
  return toyTensors().map(({ name, shape, f32, q4 }) => {
    const quantised = type === 'Q4_0' && q4 !== undefined
    const bytes = quantised ? q4 : new Uint8Array(f32.buffer)
    const spec: WeightSpec = {
      name,
      type: tensorTypes[quantised ? 'Q4_0' : 'F32'].id,
      shape,
      byteLength: bytes.length,
      use: q4 === undefined ? 'plain' : 'product'
    }
    return { spec, bytes }
  })
}

/** Rows to run through the toy, `[rows, 64]`, each number in [-1, 1). */
export function toyRows(rows: number): Float32Array {
  const next = createNumbers(2)
  return Float32Array.from({ length: rows * toyConfig.hiddenSize }, () => (next() & 1023) / 512 - 1)
}

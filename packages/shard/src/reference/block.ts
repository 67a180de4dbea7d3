import type { LlamaConfig } from '../gguf/llama-config.ts'
import { createGrowingScratch, type GrowingScratch, type KvCache } from './kv-cache.ts'
import { exp, sinCos } from './math.ts'
import { dot, multiply, type Matrix } from './matrix.ts'

/*
 * One block of a Llama model (Touvron et al. 2023), for a few rows of one session:
 *
 *   n = norm(x)            attention norm
 *   q, k, v = Wq n, Wk n, Wv n
 *   q, k turned by rope; k and v go to the cache
 *   x = x + Wo attention(q, cache)
 *   n = norm(x)            feed-forward norm
 *   x = x + Wdown (silu(Wgate n) · Wup n)
 *
 * Every row is computed alone, in an order that depends on nothing but its place in the session. So rows give
 * the same bits however they are grouped. Values are 32-bit floats, sums between them double precision.
 */

/** The weights of one block. */
export interface BlockWeights {
  readonly attentionNorm: Float32Array
  readonly query: Matrix
  readonly key: Matrix
  readonly value: Matrix
  readonly attentionOutput: Matrix
  readonly feedForwardNorm: Float32Array
  readonly gate: Matrix
  readonly up: Matrix
  readonly down: Matrix
}

/** Memory for the values between, of {@link chunkRows} rows. */
export interface Scratch {
  readonly norm: Float32Array
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
  readonly attention: Float32Array
  readonly gate: Float32Array
  readonly up: Float32Array
  readonly back: Float32Array
  readonly weights: Float32Array
  readonly keys: GrowingScratch
  readonly values: GrowingScratch
}

/** Rows a block takes at once: enough to use each row of weights well. */
export const chunkRows: number = 32

/** Makes the memory for {@link runBlock}. */
export function createScratch(config: LlamaConfig): Scratch {
  const rows = chunkRows
  const queries = config.headCount * config.headSize
  const keys = config.kvHeadCount * config.headSize
  return {
    norm: new Float32Array(rows * config.hiddenSize),
    query: new Float32Array(rows * queries),
    key: new Float32Array(rows * keys),
    value: new Float32Array(rows * keys),
    attention: new Float32Array(rows * queries),
    gate: new Float32Array(rows * config.feedForwardSize),
    up: new Float32Array(rows * config.feedForwardSize),
    back: new Float32Array(rows * config.hiddenSize),
    weights: new Float32Array(4 * Math.max(config.hiddenSize, queries, config.feedForwardSize)),
    keys: createGrowingScratch(),
    values: createGrowingScratch()
  }
}

/**
 * Runs `x`, `[count, hiddenSize]`, the rows at positions `[past, past + count)`, through one block, in place.
 * `frequencies` are rope's, `[headSize / 2]`; `layer` is the block's place in the cache.
 */
export function runBlock(
  config: LlamaConfig,
  weights: BlockWeights,
  frequencies: Float64Array,
  cache: KvCache,
  layer: number,
  past: number,
  x: Float32Array,
  s: Scratch
): void {
  const { hiddenSize, headSize, rmsEpsilon } = config
  const count = x.length / hiddenSize

  rmsNorm(x, weights.attentionNorm, rmsEpsilon, s.norm)
  multiply(weights.query, s.norm, count, s.query, s.weights)
  multiply(weights.key, s.norm, count, s.key, s.weights)
  multiply(weights.value, s.norm, count, s.value, s.weights)
  for (let i = 0; i < count; i++) {
    rope(s.query, i * weights.query.rows, weights.query.rows, headSize, past + i, frequencies)
    rope(s.key, i * weights.key.rows, weights.key.rows, headSize, past + i, frequencies)
  }
  cache.write(layer, past, count, s.key, s.value)
  attention(config, cache, layer, past, count, s)
  multiply(weights.attentionOutput, s.attention, count, s.back, s.weights)
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) + (s.back[i] as number)

  rmsNorm(x, weights.feedForwardNorm, rmsEpsilon, s.norm)
  multiply(weights.gate, s.norm, count, s.gate, s.weights)
  multiply(weights.up, s.norm, count, s.up, s.weights)
  for (let i = 0; i < count * weights.gate.rows; i++)
    s.gate[i] = silu(s.gate[i] as number) * (s.up[i] as number)
  multiply(weights.down, s.gate, count, s.back, s.weights)
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) + (s.back[i] as number)
}

/** out = x / √(mean of x² + ε) · weight, row by row (Zhang and Sennrich 2019). */
export function rmsNorm(x: Float32Array, weight: Float32Array, epsilon: number, out: Float32Array): void {
  const width = weight.length
  for (let row = 0; row < x.length; row += width) {
    const scale = 1 / Math.sqrt(dot(x, row, x, row, width) / width + epsilon)
    for (let i = 0; i < width; i++) out[row + i] = (x[row + i] as number) * scale * (weight[i] as number)
  }
}

/** x · sigmoid(x), the gate of SwiGLU (Shazeer 2020). */
export function silu(x: number): number {
  return x / (1 + exp(-x))
}

const turn = new Float64Array(2)

/**
 * Turns each pair of neighbours (2i, 2i + 1) of each head by position · frequency i (Su et al. 2021). GGUF files
 * of this architecture have their query and key rows ordered for neighbours (ggml's mode NORM).
 */
export function rope(
  x: Float32Array,
  at: number,
  length: number,
  headSize: number,
  position: number,
  frequencies: Float64Array
): void {
  for (let i = 0; i < headSize; i += 2) {
    sinCos(position * (frequencies[i >> 1] as number), turn, 0)
    const sin = turn[0] as number
    const cos = turn[1] as number
    for (let head = at; head < at + length; head += headSize) {
      const a = x[head + i] as number
      const b = x[head + i + 1] as number
      x[head + i] = a * cos - b * sin
      x[head + i + 1] = a * sin + b * cos
    }
  }
}

/**
 * softmax(q Kᵀ / √headSize) V for the rows at positions `[past, past + count)`: each sees the positions up to
 * its own. Query heads share key and value heads in groups (Ainslie et al. 2023). From `s.query` to
 * `s.attention`, both `[count, headCount * headSize]`.
 */
function attention(
  config: LlamaConfig,
  cache: KvCache,
  layer: number,
  past: number,
  count: number,
  s: Scratch
): void {
  const { headCount, kvHeadCount, headSize } = config
  const width = kvHeadCount * headSize
  const scale = 1 / Math.sqrt(headSize)
  const keys = cache.keys(layer, past + count, s.keys)
  const values = cache.values(layer, past + count, s.values)
  const weights = new Float64Array(past + count)
  const sums = new Float64Array(headSize)
  for (let row = 0; row < count; row++) {
    const length = past + row + 1
    for (let head = 0; head < headCount; head++) {
      const query = (row * headCount + head) * headSize
      const shared = Math.floor((head * kvHeadCount) / headCount) * headSize
      for (let t = 0; t < length; t++)
        weights[t] = dot(s.query, query, keys, t * width + shared, headSize) * scale
      softmax(weights, length)
      sums.fill(0)
      for (let t = 0; t < length; t++) {
        const weight = weights[t] as number
        const value = t * width + shared
        for (let i = 0; i < headSize; i++)
          sums[i] = (sums[i] as number) + weight * (values[value + i] as number)
      }
      s.attention.set(sums, query)
    }
  }
}

/** e^x over its sum, for the first `length` elements; the largest is taken off first, so that nothing overflows. */
function softmax(x: Float64Array, length: number): void {
  let largest = -Infinity
  for (let t = 0; t < length; t++) largest = Math.max(largest, x[t] as number)
  let sum = 0
  for (let t = 0; t < length; t++) {
    const e = exp((x[t] as number) - largest)
    x[t] = e
    sum += e
  }
  for (let t = 0; t < length; t++) x[t] = (x[t] as number) / sum
}

import type { LlamaConfig } from '../gguf/llama-config.ts'
import type { KvCache } from './kv-cache.ts'
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

/** Memory for the values between: enough for `rows` rows over `positions` positions. */
export interface Scratch {
  readonly rows: number
  readonly norm: Float32Array
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
  readonly attention: Float32Array
  readonly gate: Float32Array
  readonly up: Float32Array
  readonly back: Float32Array
  readonly weights: Float32Array
  readonly cached: Float32Array
  readonly sums: Float64Array
  readonly scores: { memory: Float64Array }
}

/** Rows a block takes at once: enough to use each row of weights well. */
export const chunkRows: number = 32

/** Makes the memory for {@link runBlock}. */
export function createScratch(config: LlamaConfig): Scratch {
  const rows = chunkRows
  const queries = config.headCount * config.headSize
  const keys = config.kvHeadCount * config.headSize
  return {
    rows,
    norm: new Float32Array(rows * config.hiddenSize),
    query: new Float32Array(rows * queries),
    key: new Float32Array(rows * keys),
    value: new Float32Array(rows * keys),
    attention: new Float32Array(rows * queries),
    gate: new Float32Array(rows * config.feedForwardSize),
    up: new Float32Array(rows * config.feedForwardSize),
    back: new Float32Array(rows * config.hiddenSize),
    weights: new Float32Array(4 * Math.max(config.hiddenSize, queries, config.feedForwardSize)),
    cached: new Float32Array(keys),
    sums: new Float64Array(queries),
    scores: { memory: new Float64Array(0) }
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
  for (let i = 0; i < count; i++) attention(config, cache, layer, past + i, i, s)
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
 * softmax(q Kᵀ / √headSize) V over positions `[0, position]`, for row `row` of the scratch. Query heads share
 * key and value heads in groups (Ainslie et al. 2023). The result goes to the same row of `s.attention`.
 */
function attention(
  config: LlamaConfig,
  cache: KvCache,
  layer: number,
  position: number,
  row: number,
  s: Scratch
): void {
  const { headCount, kvHeadCount, headSize } = config
  const group = headCount / kvHeadCount
  const scale = 1 / Math.sqrt(headSize)
  const length = position + 1
  const queries = row * headCount * headSize
  if (s.scores.memory.length < headCount * length)
    s.scores.memory = new Float64Array(headCount * (length + 255))
  const scores = s.scores.memory

  for (let t = 0; t < length; t++) {
    cache.readKey(layer, t, s.cached)
    for (let h = 0; h < headCount; h++) {
      const shared = Math.floor(h / group) * headSize
      scores[h * length + t] = dot(s.query, queries + h * headSize, s.cached, shared, headSize) * scale
    }
  }
  for (let h = 0; h < headCount; h++) softmax(scores, h * length, length)
  s.sums.fill(0)
  for (let t = 0; t < length; t++) {
    cache.readValue(layer, t, s.cached)
    for (let h = 0; h < headCount; h++) {
      const weight = scores[h * length + t] as number
      const shared = Math.floor(h / group) * headSize
      for (let i = 0; i < headSize; i++)
        s.sums[h * headSize + i] =
          (s.sums[h * headSize + i] as number) + weight * (s.cached[shared + i] as number)
    }
  }
  s.attention.set(s.sums, queries)
}

/** e^x over its sum; the largest is taken off first, so that nothing overflows. */
function softmax(x: Float64Array, at: number, length: number): void {
  let largest = -Infinity
  for (let t = at; t < at + length; t++) largest = Math.max(largest, x[t] as number)
  let sum = 0
  for (let t = at; t < at + length; t++) {
    const e = exp((x[t] as number) - largest)
    x[t] = e
    sum += e
  }
  for (let t = at; t < at + length; t++) x[t] = (x[t] as number) / sum
}

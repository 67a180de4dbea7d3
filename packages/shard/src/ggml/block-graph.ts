import type { LlamaConfig } from '../gguf/index.ts'
import {
  attention,
  concatRows,
  maskRows,
  vecPieces,
  type AttentionRows,
  type AttentionShape
} from './attention.ts'
import { createContext, ggmlType } from './context.ts'
import type { Ggml } from './native.ts'

/** Tensors of one block. */
export interface BlockWeights {
  attentionNorm: number
  query: number
  key: number
  value: number
  attentionOutput: number
  feedForwardNorm: number
  gate: number
  up: number
  down: number
}

/** What a range of blocks is made of. */
export interface BlockRange {
  config: LlamaConfig
  blocks: readonly BlockWeights[]
  /** Frequency factors of rope, or 0. */
  ropeFactors: number
  /** Products run with a multiple of so many rows, see {@link rowMultiple}; the rest is filled up. */
  rowMultiple: number
  kvType: number
  kvElementBytes: number
}

/** One session's part of a graph: its rows and its cache, a K and a V tensor for each block. */
export interface GraphPart extends AttentionRows {
  k: readonly number[]
  v: readonly number[]
}

/** A graph with the tensors to fill and to read. */
export interface BlockGraph {
  readonly graph: number
  readonly hidden: number
  readonly positions: number
  /** For each part. */
  readonly masks: readonly { tensor: number; rows: number }[]
  /** For each part: where its rows go in the cache. */
  readonly indices: readonly number[]
  readonly output: number
  /** Rows that products run with: as many as asked, or a few more. */
  readonly rows: number
  free(): void
}

/** Numbers of attention for a range. */
function attentionShape({ config, kvElementBytes }: BlockRange): AttentionShape {
  const { headCount, kvHeadCount, headSize } = config
  return { headCount, kvHeadCount, headSize, kvElementBytes }
}

/**
 * Builds the graph of a range of Llama blocks for the rows of one or several sessions. The operations and their
 * order within a block are llama.cpp's (`llm_build_llama`), which is why the bits are.
 */
export function buildBlockGraph(ggml: Ggml, range: BlockRange, parts: readonly GraphPart[]): BlockGraph {
  const { c } = ggml
  const { config, blocks } = range
  const { hiddenSize, headCount, kvHeadCount, headSize } = config
  const shape = attentionShape(range)
  const kvWidth = kvHeadCount * headSize
  const asked = parts.reduce((sum, part) => sum + part.rows, 0)
  const rows = Math.ceil(asked / range.rowMultiple) * range.rowMultiple

  // Generous bounds of the tensors below; one too few would end the process.
  const perPart = parts.reduce((sum, part) => sum + 24 + 8 * vecPieces(part.rows).length, 0)
  const tensors = 16 + 2 * parts.length + blocks.length * (48 + perPart)
  const ctx = createContext(ggml, tensors, tensors)
  const graph = c.ggml_new_graph_custom(ctx, tensors, false)
  const input = (tensor: number): number => {
    c.ggml_set_input(tensor)
    return tensor
  }
  const hidden = input(c.ggml_new_tensor_2d(ctx, ggmlType.F32, hiddenSize, rows))
  const positions = input(c.ggml_new_tensor_1d(ctx, ggmlType.I32, rows))
  const indices = parts.map((part) => input(c.ggml_new_tensor_1d(ctx, ggmlType.I64, part.rows)))
  const masks = parts.map((part) => {
    const height = maskRows(shape, part)
    return { tensor: input(c.ggml_new_tensor_2d(ctx, ggmlType.F16, part.kvLength, height)), rows: height }
  })

  const norm = (x: number, weight: number): number =>
    c.ggml_mul(ctx, c.ggml_rms_norm(ctx, x, config.rmsEpsilon), weight)
  const rope = (x: number, heads: number): number =>
    c.ggml_rope_ext(
      ctx,
      c.ggml_reshape_3d(ctx, x, headSize, heads, rows),
      positions,
      range.ropeFactors,
      config.ropeDimensions,
      0,
      config.contextLength,
      config.ropeTheta,
      1,
      0,
      1,
      32,
      1
    )
  const rowsOf = (x: number, first: number, count: number): number =>
    c.ggml_view_2d(ctx, x, kvWidth, count, kvWidth * 4, first * kvWidth * 4)

  let x = hidden
  for (const [index, block] of blocks.entries()) {
    const normed = norm(x, block.attentionNorm)
    const q = rope(c.ggml_mul_mat(ctx, block.query, normed), headCount)
    const k = c.ggml_reshape_2d(ctx, rope(c.ggml_mul_mat(ctx, block.key, normed), kvHeadCount), kvWidth, rows)
    const v = c.ggml_mul_mat(ctx, block.value, normed)

    // The cache is written before any attention reads it: expanding fixes the order.
    let first = 0
    const results: (() => number)[] = []
    for (const [i, part] of parts.entries()) {
      const [cacheK, cacheV] = [part.k[index] as number, part.v[index] as number]
      const at = indices[i] as number
      c.ggml_build_forward_expand(graph, c.ggml_set_rows(ctx, cacheK, rowsOf(k, first, part.rows), at))
      c.ggml_build_forward_expand(graph, c.ggml_set_rows(ctx, cacheV, rowsOf(v, first, part.rows), at))
      const tensors = { q, first, k: cacheK, v: cacheV, mask: masks[i]?.tensor as number }
      results.push(() => attention(ggml, ctx, shape, part, tensors))
      first += part.rows
    }
    let attended = concatRows(
      ggml,
      ctx,
      results.map((build) => build())
    )
    if (rows > asked) attended = c.ggml_pad(ctx, attended, 0, rows - asked, 0, 0)

    const residual = c.ggml_add(ctx, c.ggml_mul_mat(ctx, block.attentionOutput, attended), x)
    const fed = norm(residual, block.feedForwardNorm)
    const up = c.ggml_mul_mat(ctx, block.up, fed)
    const gate = c.ggml_mul_mat(ctx, block.gate, fed)
    x = c.ggml_add(ctx, c.ggml_mul_mat(ctx, block.down, c.ggml_swiglu_split(ctx, gate, up)), residual)
  }
  c.ggml_set_output(x)
  c.ggml_build_forward_expand(graph, x)
  return { graph, hidden, positions, masks, indices, output: x, rows, free: () => c.ggml_free(ctx) }
}

import type { LlamaConfig } from '../gguf/index.ts'
import { attention, concatRows, isSingle, maskRows, vecPieces, type AttentionRows } from './attention.ts'
import { createOpenContext, ggmlType } from './context.ts'
import type { KvCache } from './kv-cache.ts'
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

/** A graph with the tensors to fill and to read. It serves any sessions whose rows have its shape. */
export interface BlockGraph {
  readonly graph: number
  readonly hidden: number
  readonly positions: number
  /** For each part; `tensor` is 0 and `rows` too where a part needs none. */
  readonly masks: readonly { tensor: number; rows: number }[]
  /** For each part: where its rows go in the cache. */
  readonly indices: readonly number[]
  readonly output: number
  /** Rows that products run with: as many as asked, or a few more. */
  readonly rows: number
  /** Has the parts write to and read from these caches; a single row sees the first `kvLength` rows of its cache. */
  aim(targets: readonly { cache: KvCache; kvLength: number }[]): void
  free(): void
}

/** The tensors of one part in one block that lie in a cache. */
interface CacheTensors {
  /** Of K, then of V: where rows are written, and what attention reads. */
  written: [k: number, v: number]
  read: [k: number, v: number]
}

/**
 * Builds the graph of a range of Llama blocks for the rows of one or several sessions. The operations and their
 * order within a block are llama.cpp's (`llm_build_llama`), which is why the bits are.
 *
 * @param stand a cache tensor as long as any, which stands for those of the sessions until the graph is aimed.
 */
export function buildBlockGraph(
  ggml: Ggml,
  range: BlockRange,
  stand: number,
  parts: readonly AttentionRows[]
): BlockGraph {
  const { c } = ggml
  const { config, blocks, kvElementBytes } = range
  const { hiddenSize, headCount, kvHeadCount, headSize } = config
  const kvWidth = kvHeadCount * headSize
  const asked = parts.reduce((sum, part) => sum + part.rows, 0)
  const rows = Math.ceil(asked / range.rowMultiple) * range.rowMultiple

  // Generous bounds of the tensors below; one too few would end the process.
  const perPart = parts.reduce((sum, part) => sum + 24 + 8 * vecPieces(part.rows).length, 0)
  const tensors = 16 + 2 * parts.length + blocks.length * (48 + perPart)
  const context = createOpenContext(ggml, tensors, tensors)
  const { ctx } = context
  const graph = c.ggml_new_graph_custom(ctx, tensors, false)
  const input = (tensor: number): number => {
    c.ggml_set_input(tensor)
    return tensor
  }
  const hidden = input(c.ggml_new_tensor_2d(ctx, ggmlType.F32, hiddenSize, rows))
  const positions = input(c.ggml_new_tensor_1d(ctx, ggmlType.I32, rows))
  const indices = parts.map((part) => input(c.ggml_new_tensor_1d(ctx, ggmlType.I64, part.rows)))
  const masks = parts.map((part) => {
    const height = maskRows(part)
    if (height === 0) return { tensor: 0, rows: 0 }
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

  const heads = (kvLength: number): number => {
    const head = headSize * kvElementBytes
    return c.ggml_view_3d(ctx, stand, headSize, kvLength, kvHeadCount, kvHeadCount * head, head, 0)
  }

  let x = hidden
  const cached: CacheTensors[][] = []
  for (const block of blocks) {
    const normed = norm(x, block.attentionNorm)
    const q = rope(c.ggml_mul_mat(ctx, block.query, normed), headCount)
    const k = c.ggml_reshape_2d(ctx, rope(c.ggml_mul_mat(ctx, block.key, normed), kvHeadCount), kvWidth, rows)
    const v = c.ggml_mul_mat(ctx, block.value, normed)

    // The cache is written before any attention reads it: expanding fixes the order.
    let first = 0
    const own: CacheTensors[] = []
    const results: (() => number)[] = []
    for (const [i, part] of parts.entries()) {
      const at = indices[i] as number
      const write = (rows: number): number => {
        const written = c.ggml_set_rows(ctx, stand, rowsOf(rows, first, part.rows), at)
        c.ggml_build_forward_expand(graph, written)
        return written
      }
      const written: CacheTensors['written'] = [write(k), write(v)]
      const read: CacheTensors['read'] = [heads(part.kvLength), heads(part.kvLength)]
      const tensors = { q, first, k: read[0], v: read[1], mask: masks[i]?.tensor as number }
      results.push(() => attention(ggml, ctx, config, part, tensors))
      own.push({ written, read })
      first += part.rows
    }
    cached.push(own)
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
  return {
    graph,
    hidden,
    positions,
    masks,
    indices,
    output: x,
    rows,
    aim(targets) {
      for (const [block, own] of cached.entries())
        for (const [i, { written, read }] of own.entries()) {
          const { cache, kvLength } = targets[i] as (typeof targets)[number]
          const seen = isSingle(parts[i] as AttentionRows) ? kvLength : undefined
          for (const which of [0, 1] as const) {
            const address = cache.addresses[2 * block + which] as bigint
            context.aim(written[which], address)
            context.aim(read[which], address, seen)
          }
        }
    },
    free: context.free
  }
}

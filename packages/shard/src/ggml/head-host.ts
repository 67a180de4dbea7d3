import type { LlamaConfig } from '../gguf/index.ts'
import { createContext, ggmlType } from './context.ts'
import type { Ggml } from './native.ts'

/** Tensors of the two ends of a model. */
export interface HeadWeights {
  tokenEmbedding: number
  outputNorm: number
  output: number
  /** Rows that can be multiplied with `output` together, each with the bits it has alone. */
  maxLogitsRows: number
}

/** The two ends of a model in the process that computes them. Calls must not overlap. */
export interface HeadHost {
  /** Most rows of one call of `logits`. */
  readonly maxLogitsRows: number
  embed(ids: Int32Array): Float32Array
  /** Logits, `[rows, vocabularySize]`: the same memory each time. */
  logits(hidden: Float32Array): Float32Array
  free(): void
}

/** A graph from one tensor to another. */
interface Graph {
  run(input: Int32Array | Float32Array, output: Float32Array): void
  free(): void
}

function buildGraph(
  ggml: Ggml,
  input: (ctx: number) => number,
  result: (ctx: number, input: number) => number
): Graph {
  const { c } = ggml
  const ctx = createContext(ggml, 8, 8)
  const graph = c.ggml_new_graph_custom(ctx, 8, false)
  const from = input(ctx)
  c.ggml_set_input(from)
  const to = result(ctx, from)
  c.ggml_set_output(to)
  c.ggml_build_forward_expand(graph, to)
  const allocator = c.ggml_gallocr_new(ggml.bufferType)
  if (!c.ggml_gallocr_alloc_graph(allocator, graph)) throw new Error('no memory for intermediate values')
  return {
    run(values, output) {
      c.ggml_backend_tensor_set(from, values, 0, values.byteLength)
      const status = ggml.compute(graph)
      if (status !== 0) throw new Error(`ggml_backend_graph_compute returned ${status}`)
      c.ggml_backend_tensor_get(to, output, 0, output.byteLength)
    },
    free() {
      c.ggml_gallocr_free(allocator)
      c.ggml_free(ctx)
    }
  }
}

/** @returns embedding and head over these weights. */
export function createHeadHost(ggml: Ggml, config: LlamaConfig, weights: HeadWeights): HeadHost {
  const { c } = ggml
  const { hiddenSize, vocabularySize } = config

  const buildEmbedding = (count: number): Graph =>
    buildGraph(
      ggml,
      (ctx) => c.ggml_new_tensor_1d(ctx, ggmlType.I32, count),
      (ctx, ids) => c.ggml_get_rows(ctx, weights.tokenEmbedding, ids)
    )
  const buildHead = (rows: number): Graph =>
    buildGraph(
      ggml,
      (ctx) => c.ggml_new_tensor_2d(ctx, ggmlType.F32, hiddenSize, rows),
      (ctx, hidden) => {
        const normed = c.ggml_mul(ctx, c.ggml_rms_norm(ctx, hidden, config.rmsEpsilon), weights.outputNorm)
        return c.ggml_mul_mat(ctx, weights.output, normed)
      }
    )

  // One for each number of rows.
  const heads = new Map<number, Graph>()
  let memory = new Float32Array(0)
  // That of the single token is used all the time, others once.
  let single: Graph | undefined
  return {
    maxLogitsRows: weights.maxLogitsRows,
    embed(ids) {
      const hidden = new Float32Array(ids.length * hiddenSize)
      if (ids.length === 1) {
        single ??= buildEmbedding(1)
        single.run(ids, hidden)
        return hidden
      }
      const graph = buildEmbedding(ids.length)
      graph.run(ids, hidden)
      graph.free()
      return hidden
    },
    logits(hidden) {
      const rows = hidden.length / hiddenSize
      if (!(rows >= 1 && rows <= weights.maxLogitsRows)) throw new Error(`${rows} rows are no batch`)
      const head = heads.get(rows) ?? buildHead(rows)
      heads.set(rows, head)
      if (memory.length < rows * vocabularySize) memory = new Float32Array(rows * vocabularySize)
      const logits = memory.subarray(0, rows * vocabularySize)
      head.run(hidden, logits)
      return logits
    },
    free() {
      for (const head of heads.values()) head.free()
      heads.clear()
      single?.free()
      single = undefined
    }
  }
}

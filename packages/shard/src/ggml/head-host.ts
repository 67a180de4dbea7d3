import type { LlamaConfig } from '../gguf/index.ts'
import { createContext, ggmlType } from './context.ts'
import type { Ggml } from './native.ts'

/** Tensors of the two ends of a model. */
export interface HeadWeights {
  tokenEmbedding: number
  outputNorm: number
  output: number
}

/** The two ends of a model in the process that computes them. Calls must not overlap. */
export interface HeadHost {
  embed(ids: Int32Array): Float32Array
  logits(hidden: Float32Array): Float32Array
  free(): void
}

/** @returns embedding and head over these weights. */
export function createHeadHost(ggml: Ggml, config: LlamaConfig, weights: HeadWeights): HeadHost {
  const { c } = ggml
  const { hiddenSize, vocabularySize } = config

  /** One row at a time, as llama.cpp computes the last row of a prompt and every generated one. */
  function buildLogits(): { graph: number; hidden: number; output: number; free(): void } {
    const ctx = createContext(ggml, 8, 8)
    const graph = c.ggml_new_graph_custom(ctx, 8, false)
    const hidden = c.ggml_new_tensor_2d(ctx, ggmlType.F32, hiddenSize, 1)
    c.ggml_set_input(hidden)
    const normed = c.ggml_mul(ctx, c.ggml_rms_norm(ctx, hidden, config.rmsEpsilon), weights.outputNorm)
    const output = c.ggml_mul_mat(ctx, weights.output, normed)
    c.ggml_set_output(output)
    c.ggml_build_forward_expand(graph, output)
    const allocator = allocate(ggml, graph)
    return {
      graph,
      hidden,
      output,
      free() {
        c.ggml_gallocr_free(allocator)
        c.ggml_free(ctx)
      }
    }
  }

  let head: ReturnType<typeof buildLogits> | undefined
  return {
    embed(ids) {
      const ctx = createContext(ggml, 4, 4)
      const graph = c.ggml_new_graph_custom(ctx, 4, false)
      const input = c.ggml_new_tensor_1d(ctx, ggmlType.I32, ids.length)
      c.ggml_set_input(input)
      const output = c.ggml_get_rows(ctx, weights.tokenEmbedding, input)
      c.ggml_set_output(output)
      c.ggml_build_forward_expand(graph, output)
      const allocator = allocate(ggml, graph)
      c.ggml_backend_tensor_set(input, ids, 0, ids.byteLength)
      compute(ggml, graph)
      const hidden = new Float32Array(ids.length * hiddenSize)
      c.ggml_backend_tensor_get(output, hidden, 0, hidden.byteLength)
      c.ggml_gallocr_free(allocator)
      c.ggml_free(ctx)
      return hidden
    },
    logits(hidden) {
      head ??= buildLogits()
      c.ggml_backend_tensor_set(head.hidden, hidden, 0, hidden.byteLength)
      compute(ggml, head.graph)
      const logits = new Float32Array(vocabularySize)
      c.ggml_backend_tensor_get(head.output, logits, 0, logits.byteLength)
      return logits
    },
    free() {
      head?.free()
      head = undefined
    }
  }
}

function allocate(ggml: Ggml, graph: number): number {
  const allocator = ggml.c.ggml_gallocr_new(ggml.bufferType)
  if (!ggml.c.ggml_gallocr_alloc_graph(allocator, graph)) throw new Error('no memory for intermediate values')
  return allocator
}

function compute(ggml: Ggml, graph: number): void {
  const status = ggml.compute(graph)
  if (status !== 0) throw new Error(`ggml_backend_graph_compute returned ${status}`)
}

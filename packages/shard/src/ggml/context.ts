import { tensorOverhead } from './constants.ts'
import type { Ggml } from './native.ts'

/** Numbers of ggml's tensor types that this door makes itself (ggml.h, `enum ggml_type`). */
export const ggmlType = { F32: 0, F16: 1, I32: 26, I64: 27 } as const

/** A ggml context for the metadata of at most `tensors` tensors and a graph of at most `nodes` nodes. */
export function createContext(ggml: Ggml, tensors: number, nodes: number = 0): number {
  const graphBytes = nodes === 0 ? 0 : ggml.c.ggml_graph_overhead_custom(nodes, false)
  const mem_size = tensors * tensorOverhead + graphBytes
  const ctx = ggml.c.ggml_init({ mem_size, mem_buffer: 0, no_alloc: true })
  if (ctx === 0) throw new Error(`no memory for ${mem_size} bytes of metadata`)
  return ctx
}

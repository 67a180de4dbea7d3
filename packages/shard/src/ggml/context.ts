import { tensorOverhead } from './constants.ts'
import { addressOf, type Ggml } from './native.ts'

/** Numbers of ggml's tensor types that this door makes itself (ggml.h, `enum ggml_type`). */
export const ggmlType = { F32: 0, F16: 1, I32: 26, I64: 27 } as const

/** A ggml context for the metadata of at most `tensors` tensors and a graph of at most `nodes` nodes. */
export function createContext(ggml: Ggml, tensors: number, nodes: number = 0): number {
  return initContext(ggml, contextBytes(ggml, tensors, nodes), 0)
}

function contextBytes(ggml: Ggml, tensors: number, nodes: number): number {
  const graphBytes = nodes === 0 ? 0 : ggml.c.ggml_graph_overhead_custom(nodes, false)
  return tensors * tensorOverhead + graphBytes
}

function initContext(ggml: Ggml, mem_size: number, mem_buffer: number): number {
  const ctx = ggml.c.ggml_init({ mem_size, mem_buffer, no_alloc: true })
  if (ctx === 0) throw new Error(`no memory for ${mem_size} bytes of metadata`)
  return ctx
}

/** A context whose tensors can be pointed at other memory. */
export interface OpenContext {
  readonly ctx: number
  /**
   * Has a tensor of this context that was allocated lie at `address`, with `rows` in its second dimension where that
   * is given. Its other numbers stay, and whoever calls this answers for it that they fit.
   */
  aim(tensor: number, address: bigint, rows?: number): void
  free(): void
}

// Offsets within `struct ggml_tensor` (ggml.h as of 0.23.0), in words of eight bytes: `ne[1]` and `data`.
const secondDimension = 3
const dataPointer = 31

/** Like {@link createContext}, with the metadata in memory of ours. */
export function createOpenContext(ggml: Ggml, tensors: number, nodes: number): OpenContext {
  const { c } = ggml
  const words = new BigUint64Array(Math.ceil(contextBytes(ggml, tensors, nodes) / 8))
  const start = addressOf(words)
  const ctx = initContext(ggml, words.byteLength, start)
  let checked = false
  return {
    ctx,
    aim(tensor, address, rows) {
      const at = (tensor - start) / 8
      if (!checked && words[at + dataPointer] !== BigInt(c.ggml_get_data(tensor)))
        throw new Error("ggml's tensors have another layout")
      checked = true
      words[at + dataPointer] = address
      if (rows !== undefined) words[at + secondDimension] = BigInt(rows)
    },
    free: () => c.ggml_free(ctx)
  }
}

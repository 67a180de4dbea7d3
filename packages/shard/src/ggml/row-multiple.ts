import { tensorTypes } from '../gguf/index.ts'
import { createContext, ggmlType } from './context.ts'
import type { Ggml } from './native.ts'

// The probe: a product of `columns` inputs and `outputs` outputs, which every kernel accepts.
const columns = 512
const outputs = 64
const allRows = 64
// Numbers of rows around which kernels change: 1, and multiples of 2, 4, 8, 16 and 32, a little more or less.
const counts: readonly number[] = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 28, 31, 32, 33, 40, 48, 63
]
// Types from IQ1_S to IQ3_S.
const slowToQuantise: ReadonlySet<number> = new Set(
  (['IQ1_S', 'IQ1_M', 'IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ3_XXS', 'IQ3_S'] as const).map(
    (name) => tensorTypes[name].id
  )
)
const multiples: readonly number[] = [1, 2, 4, 8, 16, 32]

const known = new WeakMap<Ggml, Map<string, number | undefined>>()

/**
 * The number of which the rows of a product have to be a multiple, so that each row's result does not depend on
 * how many there are.
 *
 * ggml has several kernels for some types and chooses by the number of rows: one for single rows of F32, F16 and
 * BF16, for repacked Q4_K one for groups of four rows and one for what is left, for the IQ types another from
 * eight rows on. They differ in their last bits. Which it has depends on its version and on the processor, so
 * this asks by trying: random weights, and numbers of rows around which a kernel may change.
 *
 * @param type ggml's number of the weights' type.
 * @param bufferType where the weights lie.
 * @returns `undefined` when no multiple up to 32 does it.
 */
export function rowMultiple(ggml: Ggml, type: number, bufferType: number): number | undefined {
  const results = known.get(ggml) ?? new Map<string, number | undefined>()
  known.set(ggml, results)
  const key = `${type} ${bufferType}`
  if (!results.has(key)) results.set(key, probe(ggml, type, bufferType))
  return results.get(key)
}

function probe(ggml: Ggml, type: number, bufferType: number): number | undefined {
  const { c } = ggml
  const ctx = createContext(ggml, 1)
  const weight = c.ggml_new_tensor_2d(ctx, type, columns, outputs)
  const buffer = c.ggml_backend_alloc_ctx_tensors_from_buft(ctx, bufferType)
  try {
    if (buffer === 0) throw new Error('there is no memory to try products with')
    const bytes = randomWeights(ggml, type, c.ggml_nbytes(weight))
    c.ggml_backend_tensor_set(weight, bytes, 0, bytes.length)

    const input = randomRows(allRows, 2)
    const expected = product(ggml, weight, input)
    if (expected.filter(Number.isFinite).length < expected.length / 4)
      throw new Error(`too few results of type ${c.ggml_type_name(type)} are numbers`)
    const differs = counts.filter((count) => {
      const some = product(ggml, weight, input.subarray(0, count * columns))
      return some.some(
        (value, i) => value !== expected[i] && Number.isFinite(value - (expected[i] as number))
      )
    })
    return multiples.find((multiple) => differs.every((count) => count % multiple !== 0))
  } finally {
    if (buffer !== 0) c.ggml_backend_buffer_free(buffer)
    c.ggml_free(ctx)
  }
}

function product(ggml: Ggml, weight: number, input: Float32Array): Float32Array {
  const { c } = ggml
  const rows = input.length / columns
  const ctx = createContext(ggml, 4, 4)
  const allocator = c.ggml_gallocr_new(ggml.bufferType)
  try {
    const graph = c.ggml_new_graph_custom(ctx, 4, false)
    const x = c.ggml_new_tensor_2d(ctx, ggmlType.F32, columns, rows)
    c.ggml_set_input(x)
    const result = c.ggml_mul_mat(ctx, weight, x)
    c.ggml_set_output(result)
    c.ggml_build_forward_expand(graph, result)
    if (!c.ggml_gallocr_alloc_graph(allocator, graph))
      throw new Error('there is no memory to try products with')
    c.ggml_backend_tensor_set(x, input, 0, input.byteLength)
    if (ggml.compute(graph) !== 0) throw new Error('a product failed')
    const out = new Float32Array(rows * outputs)
    c.ggml_backend_tensor_get(result, out, 0, out.byteLength)
    return out
  } finally {
    c.ggml_gallocr_free(allocator)
    c.ggml_free(ctx)
  }
}

/**
 * Weights of a type: numbers quantised by ggml or, for the types for which that takes seconds of searching, bytes as
 * they come. A scale among these may be no number; what it makes of a result is passed over.
 */
function randomWeights(ggml: Ggml, type: number, byteLength: number): Uint8Array {
  const values = randomRows(outputs, 1)
  if (slowToQuantise.has(type))
    return Uint8Array.from({ length: byteLength }, (_, i) => ((values[i] as number) + 1) * 128)
  const bytes = new Uint8Array(byteLength)
  ggml.c.ggml_quantize_chunk(type, values, bytes, 0, outputs, columns, new Float32Array(columns).fill(1))
  return bytes
}

/** Rows of numbers in [-1, 1) from ANSI C's example generator. */
function randomRows(rows: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length: rows * columns }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) / 2 ** 23 - 1
  })
}

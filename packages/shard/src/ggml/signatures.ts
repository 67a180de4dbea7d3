/** How an argument or result crosses: C type for koffi, and what it is in TypeScript. */
interface Kinds {
  void: undefined
  /** A pointer, as a plain number: addresses lie below 2^53. 0 is NULL. */
  ptr: number
  int: number
  i64: number
  size: number
  u8: number
  f32: number
  bool: boolean
  str: string
  /** Memory of ours, for the time of the call. */
  bytes: ArrayBufferView
  /** `struct ggml_init_params`, by value. */
  init: { mem_size: number; mem_buffer: number; no_alloc: boolean }
}

/** A kind of argument or result. */
export type Kind = keyof Kinds

/** Result, then arguments. */
export type Signature = readonly [result: Kind, ...args: Kind[]]

type Args<A extends readonly Kind[]> = { [I in keyof A]: Kinds[A[I]] }

/** The functions of a table of signatures. */
export type Functions<T extends Record<string, Signature>> = {
  [N in keyof T]: T[N] extends readonly [infer R extends Kind, ...infer A extends Kind[]]
    ? (...args: Args<A>) => Kinds[R]
    : never
}

/** What is called in `ggml-base` (ggml.h, ggml-alloc.h, ggml-backend.h as of 0.23.0). */
export const baseSignatures = {
  ggml_version: ['str'],
  ggml_commit: ['str'],
  ggml_log_set: ['void', 'ptr', 'ptr'],
  ggml_tensor_overhead: ['size'],
  ggml_graph_overhead_custom: ['size', 'size', 'bool'],
  // type, floats, where to, first element, rows, elements of a row, importance of the columns
  ggml_quantize_chunk: ['size', 'int', 'bytes', 'bytes', 'i64', 'i64', 'i64', 'bytes'],
  ggml_type_name: ['str', 'int'],
  ggml_nbytes: ['size', 'ptr'],
  ggml_get_data: ['ptr', 'ptr'],
  ggml_init: ['ptr', 'init'],
  ggml_free: ['void', 'ptr'],
  ggml_new_tensor_1d: ['ptr', 'ptr', 'int', 'i64'],
  ggml_new_tensor_2d: ['ptr', 'ptr', 'int', 'i64', 'i64'],
  ggml_new_graph_custom: ['ptr', 'ptr', 'size', 'bool'],
  ggml_build_forward_expand: ['void', 'ptr', 'ptr'],
  ggml_set_input: ['void', 'ptr'],
  ggml_set_output: ['void', 'ptr'],

  ggml_add: ['ptr', 'ptr', 'ptr', 'ptr'],
  ggml_mul: ['ptr', 'ptr', 'ptr', 'ptr'],
  ggml_mul_mat: ['ptr', 'ptr', 'ptr', 'ptr'],
  ggml_swiglu_split: ['ptr', 'ptr', 'ptr', 'ptr'],
  ggml_get_rows: ['ptr', 'ptr', 'ptr', 'ptr'],
  ggml_cont: ['ptr', 'ptr', 'ptr'],
  ggml_set_rows: ['ptr', 'ptr', 'ptr', 'ptr', 'ptr'],
  ggml_rms_norm: ['ptr', 'ptr', 'ptr', 'f32'],
  ggml_concat: ['ptr', 'ptr', 'ptr', 'ptr', 'int'],
  ggml_pad: ['ptr', 'ptr', 'ptr', 'int', 'int', 'int', 'int'],
  ggml_permute: ['ptr', 'ptr', 'ptr', 'int', 'int', 'int', 'int'],
  ggml_reshape_2d: ['ptr', 'ptr', 'ptr', 'i64', 'i64'],
  ggml_reshape_3d: ['ptr', 'ptr', 'ptr', 'i64', 'i64', 'i64'],
  ggml_view_1d: ['ptr', 'ptr', 'ptr', 'i64', 'size'],
  ggml_view_2d: ['ptr', 'ptr', 'ptr', 'i64', 'i64', 'size', 'size'],
  ggml_view_3d: ['ptr', 'ptr', 'ptr', 'i64', 'i64', 'i64', 'size', 'size', 'size'],
  // a, positions, frequency factors; dimensions, mode, original context; base, scale, ext, attn, fast, slow
  ggml_rope_ext: [
    'ptr',
    'ptr',
    'ptr',
    'ptr',
    'ptr',
    'int',
    'int',
    'int',
    'f32',
    'f32',
    'f32',
    'f32',
    'f32',
    'f32'
  ],
  // q, k, v, mask; scale, maximal bias, logit soft cap
  ggml_flash_attn_ext: ['ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'f32', 'f32', 'f32'],
  ggml_flash_attn_ext_set_prec: ['void', 'ptr', 'int'],

  ggml_gallocr_new: ['ptr', 'ptr'],
  ggml_gallocr_free: ['void', 'ptr'],
  ggml_gallocr_alloc_graph: ['bool', 'ptr', 'ptr'],
  ggml_gallocr_get_buffer_size: ['size', 'ptr', 'int'],

  ggml_backend_dev_init: ['ptr', 'ptr', 'ptr'],
  ggml_backend_dev_buffer_type: ['ptr', 'ptr'],
  ggml_backend_dev_supports_op: ['bool', 'ptr', 'ptr'],
  ggml_backend_dev_backend_reg: ['ptr', 'ptr'],
  ggml_backend_reg_get_proc_address: ['ptr', 'ptr', 'str'],
  ggml_backend_buft_name: ['str', 'ptr'],
  ggml_backend_alloc_ctx_tensors_from_buft: ['ptr', 'ptr', 'ptr'],
  ggml_backend_buffer_free: ['void', 'ptr'],
  ggml_backend_buffer_get_base: ['ptr', 'ptr'],
  ggml_backend_buffer_set_usage: ['void', 'ptr', 'int'],
  ggml_backend_buffer_get_size: ['size', 'ptr'],
  ggml_backend_tensor_set: ['void', 'ptr', 'bytes', 'size', 'size'],
  ggml_backend_tensor_get: ['void', 'ptr', 'bytes', 'size', 'size'],
  ggml_backend_tensor_memset: ['void', 'ptr', 'u8', 'size', 'size'],
  ggml_backend_graph_compute: ['int', 'ptr', 'ptr']
} as const

/** What is called in `ggml`, the registry of backends. */
export const registrySignatures = {
  ggml_backend_load: ['ptr', 'str'],
  ggml_backend_dev_by_type: ['ptr', 'int']
} as const

/** What is called in the library of one instruction set. */
export const cpuSignatures = {
  ggml_backend_cpu_set_n_threads: ['void', 'ptr', 'int']
} as const

/** All functions this door calls. */
export type GgmlFunctions = Functions<typeof baseSignatures> &
  Functions<typeof registrySignatures> &
  Functions<typeof cpuSignatures>

/** How ggml stores one kind of tensor: `blockSize` elements in `blockBytes` bytes (ggml, ggml-common.h). */
export interface TensorTypeInfo {
  /** The number in the file. */
  id: number
  blockSize: number
  blockBytes: number
}

/** All tensor types ggml knows, by name. */
export const tensorTypes = {
  F32: { id: 0, blockSize: 1, blockBytes: 4 },
  F16: { id: 1, blockSize: 1, blockBytes: 2 },
  Q4_0: { id: 2, blockSize: 32, blockBytes: 18 },
  Q4_1: { id: 3, blockSize: 32, blockBytes: 20 },
  Q5_0: { id: 6, blockSize: 32, blockBytes: 22 },
  Q5_1: { id: 7, blockSize: 32, blockBytes: 24 },
  Q8_0: { id: 8, blockSize: 32, blockBytes: 34 },
  Q8_1: { id: 9, blockSize: 32, blockBytes: 36 },
  Q2_K: { id: 10, blockSize: 256, blockBytes: 84 },
  Q3_K: { id: 11, blockSize: 256, blockBytes: 110 },
  Q4_K: { id: 12, blockSize: 256, blockBytes: 144 },
  Q5_K: { id: 13, blockSize: 256, blockBytes: 176 },
  Q6_K: { id: 14, blockSize: 256, blockBytes: 210 },
  Q8_K: { id: 15, blockSize: 256, blockBytes: 292 },
  IQ2_XXS: { id: 16, blockSize: 256, blockBytes: 66 },
  IQ2_XS: { id: 17, blockSize: 256, blockBytes: 74 },
  IQ3_XXS: { id: 18, blockSize: 256, blockBytes: 98 },
  IQ1_S: { id: 19, blockSize: 256, blockBytes: 50 },
  IQ4_NL: { id: 20, blockSize: 32, blockBytes: 18 },
  IQ3_S: { id: 21, blockSize: 256, blockBytes: 110 },
  IQ2_S: { id: 22, blockSize: 256, blockBytes: 82 },
  IQ4_XS: { id: 23, blockSize: 256, blockBytes: 136 },
  I8: { id: 24, blockSize: 1, blockBytes: 1 },
  I16: { id: 25, blockSize: 1, blockBytes: 2 },
  I32: { id: 26, blockSize: 1, blockBytes: 4 },
  I64: { id: 27, blockSize: 1, blockBytes: 8 },
  F64: { id: 28, blockSize: 1, blockBytes: 8 },
  IQ1_M: { id: 29, blockSize: 256, blockBytes: 56 },
  BF16: { id: 30, blockSize: 1, blockBytes: 2 },
  TQ1_0: { id: 34, blockSize: 256, blockBytes: 54 },
  TQ2_0: { id: 35, blockSize: 256, blockBytes: 66 },
  MXFP4: { id: 39, blockSize: 32, blockBytes: 17 }
} as const

/** The name of a tensor type. */
export type TensorType = keyof typeof tensorTypes

const byId: ReadonlyMap<number, TensorType> = new Map(
  (Object.keys(tensorTypes) as TensorType[]).map((name) => [tensorTypes[name].id, name])
)

/** The type with this number in a file, or `undefined` for one ggml does not know. */
export function tensorTypeOf(id: number): TensorType | undefined {
  return byId.get(id)
}

// Neither weights nor norms: whole numbers, doubles, and the formats ggml uses for activations alone.
const noWeights: ReadonlySet<TensorType> = new Set(['I8', 'I16', 'I32', 'I64', 'F64', 'Q8_1', 'Q8_K'])

/** True for types a weight matrix may have. */
export function isWeightType(type: TensorType): boolean {
  return !noWeights.has(type)
}

/** Bytes of a tensor, or `undefined` when rows of `shape[0]` elements are no whole number of quantised blocks. */
export function tensorBytes(type: TensorType, shape: readonly number[]): number | undefined {
  const { blockSize, blockBytes } = tensorTypes[type]
  const row = shape[0] ?? 1
  if (row % blockSize !== 0) return undefined
  return shape.slice(1).reduce((bytes, n) => bytes * n, (row / blockSize) * blockBytes)
}

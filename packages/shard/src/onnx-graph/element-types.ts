/** An element type, as it is numbered in a file and how many bits it takes. */
export interface OnnxElementType {
  readonly id: number
  readonly bits: number
}

/** Element types by name; the numbers are those of `TensorProto.DataType` (onnx/onnx.proto). */
export const elementTypes = {
  f32: { id: 1, bits: 32 },
  u8: { id: 2, bits: 8 },
  i8: { id: 3, bits: 8 },
  u16: { id: 4, bits: 16 },
  i16: { id: 5, bits: 16 },
  i32: { id: 6, bits: 32 },
  i64: { id: 7, bits: 64 },
  bool: { id: 9, bits: 8 },
  f16: { id: 10, bits: 16 },
  f64: { id: 11, bits: 64 },
  u32: { id: 12, bits: 32 },
  u64: { id: 13, bits: 64 },
  bf16: { id: 16, bits: 16 },
  u4: { id: 21, bits: 4 },
  i4: { id: 22, bits: 4 }
} as const

/** The name of an element type. */
export type OnnxElement = keyof typeof elementTypes

/** Bytes of a tensor's values; two 4-bit values share a byte, the first in its low half. */
export function onnxTensorBytes(type: OnnxElement, shape: readonly number[]): number {
  const count = shape.reduce((product, n) => product * n, 1)
  return Math.ceil((count * elementTypes[type].bits) / 8)
}

import type { TensorType } from './tensor-types.ts'

/** The numeric value types of GGUF metadata. */
export type GgufNumberType =
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'float32'
  | 'uint64'
  | 'int64'
  | 'float64'

/** The types an array's elements may have. */
export type GgufElementType = GgufNumberType | 'bool' | 'string'

/** One metadata value with its type in the file. */
export type GgufValue =
  | { readonly type: GgufNumberType; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | GgufArray

/** An array of metadata. `value` is absent where the reader was told to skip it. */
export type GgufArray =
  | {
      readonly type: 'array'
      readonly of: GgufNumberType
      readonly length: number
      readonly value?: readonly number[]
    }
  | {
      readonly type: 'array'
      readonly of: 'bool'
      readonly length: number
      readonly value?: readonly boolean[]
    }
  | {
      readonly type: 'array'
      readonly of: 'string'
      readonly length: number
      readonly value?: readonly string[]
    }

/** Where a tensor lies and what it is. */
export interface GgufTensor {
  readonly name: string
  readonly type: TensorType
  /** In ggml's order: `shape[0]` is the length of a row. */
  readonly shape: readonly number[]
  /** First byte, from the start of the file. */
  readonly offset: number
  readonly byteLength: number
}

/** The header of a GGUF file. */
export interface GgufFile {
  readonly version: number
  /** Tensors begin at multiples of this. */
  readonly alignment: number
  /** First byte of tensor data. */
  readonly dataOffset: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>
}

/** Numbers of the value types in a file (ggml, docs/gguf.md). */
export const valueTypeIds: Readonly<Record<GgufElementType | 'array', number>> = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12
}

/** Bytes of a value of fixed size. */
export const numberBytes: Readonly<Record<GgufNumberType | 'bool', number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  uint64: 8,
  int64: 8,
  float64: 8
}

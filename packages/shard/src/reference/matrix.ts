import type { TensorType } from '../gguf/tensor-types.ts'
import { tensorBytes } from '../gguf/tensor-types.ts'
import type { Dequantizer } from './dequantize-basic.ts'
import { dequantizerOf } from './dequantize.ts'

/** A weight matrix as it lies in the file: one row of `columns` elements for each output. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly bytes: Uint8Array
  readonly rowBytes: number
  readonly dequantize: Dequantizer
}

/** Wraps the bytes of a tensor of shape `[columns, rows]`. */
export function createMatrix(type: TensorType, columns: number, rows: number, bytes: Uint8Array): Matrix {
  const rowBytes = tensorBytes(type, [columns]) as number
  return { rows, columns, bytes, rowBytes, dequantize: dequantizerOf(type) }
}

/**
 * The sum of a[i] b[i]. Four sums run side by side in double precision and are added at the end: an order that
 * depends on nothing but the length.
 */
export function dot(a: Float32Array, at: number, b: Float32Array, bt: number, length: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 3 < length; i += 4) {
    s0 += (a[at + i] as number) * (b[bt + i] as number)
    s1 += (a[at + i + 1] as number) * (b[bt + i + 1] as number)
    s2 += (a[at + i + 2] as number) * (b[bt + i + 2] as number)
    s3 += (a[at + i + 3] as number) * (b[bt + i + 3] as number)
  }
  for (; i < length; i++) s0 += (a[at + i] as number) * (b[bt + i] as number)
  return s0 + s1 + (s2 + s3)
}

/**
 * out = x Wᵀ for `count` rows: `x` `[count, columns]`, `out` `[count, rows]`. Four rows of W at a time are turned
 * into floats in `scratch` (`[4, columns]`) and used for all rows of x. Each sum is taken in order, in double
 * precision, so every row of x has the sums it has alone.
 */
export function multiply(
  matrix: Matrix,
  x: Float32Array,
  count: number,
  out: Float32Array,
  scratch: Float32Array
): void {
  const { rows, columns, bytes, rowBytes } = matrix
  const lines = [0, 1, 2, 3].map((i) => scratch.subarray(i * columns, (i + 1) * columns))
  for (let j = 0; j < rows; j += 4) {
    // Where fewer than four rows are left, the others' sums are made of what lies there and are dropped.
    const width = Math.min(4, rows - j)
    for (let i = 0; i < width; i++)
      matrix.dequantize(bytes, (j + i) * rowBytes, columns, lines[i] as Float32Array)
    for (let i = 0; i < count; i++) fourSums(scratch, columns, x, i * columns, out, i * rows + j, width)
  }
}

function fourSums(
  w: Float32Array,
  columns: number,
  x: Float32Array,
  xAt: number,
  out: Float32Array,
  outAt: number,
  width: number
): void {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  for (let i = 0; i < columns; i++) {
    const value = x[xAt + i] as number
    s0 += (w[i] as number) * value
    s1 += (w[columns + i] as number) * value
    s2 += (w[2 * columns + i] as number) * value
    s3 += (w[3 * columns + i] as number) * value
  }
  out[outAt] = s0
  if (width > 1) out[outAt + 1] = s1
  if (width > 2) out[outAt + 2] = s2
  if (width > 3) out[outAt + 3] = s3
}

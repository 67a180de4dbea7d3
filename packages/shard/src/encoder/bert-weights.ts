import type { ByteSource, CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { halfTable, numberToHalf } from '../half.ts'
import type { OnnxTensorPieces } from '../onnx-graph/index.ts'
import type { SafetensorsFile, SafetensorsTensor } from './safetensors.ts'

/** How weights are stored. They are computed with as 32-bit floats either way. */
export type EncoderFormat = 'f32' | 'f16'

/** Weights of a file, ready for a graph. */
export interface WeightReader {
  /** The names of all tensors asked for so far. */
  readonly used: ReadonlySet<string>
  /** The values of a tensor of that shape, as they are, in the format asked for. */
  plain(name: string, shape: readonly number[], format: EncoderFormat): OnnxTensorPieces
  /** The same with rows and columns exchanged: ONNX multiplies by `[in, out]`, files hold `[out, in]`. */
  transposed(name: string, shape: readonly [number, number], format: EncoderFormat): OnnxTensorPieces
  /** The first rows of a tensor as 32-bit floats. */
  rows(
    name: string,
    shape: readonly [number, number],
    count: number,
    options: CallOptions
  ): Promise<Float32Array>
}

/** Values read at a time where they need not be exchanged. */
const pieceValues = 524_288
/** A matrix that is exchanged is held whole, so it may not be larger than this. */
const maxMatrixValues = 134_217_728

const valueBytes: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 }

/**
 * Reads weights stored as F32, F16 or BF16.
 *
 * @throws A KwaaiError `ERR_ENCODER_INVALID_TENSOR`, from each method, for a tensor that is missing or has another
 * shape or type.
 */
export function createWeightReader(file: SafetensorsFile, source: ByteSource): WeightReader {
  const used = new Set<string>()
  const find = (name: string, shape: readonly number[]): SafetensorsTensor => {
    const tensor = file.tensors.get(name)
    if (tensor === undefined) throw wrong(name, 'is missing')
    if (valueBytes[tensor.type] === undefined)
      throw wrong(name, `is ${tensor.type}; F32, F16 and BF16 are computed`)
    if (tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i]))
      throw wrong(name, `has the shape [${tensor.shape}], config.json asks for [${shape}]`)
    used.add(name)
    return tensor
  }
  const read = async (
    tensor: SafetensorsTensor,
    from: number,
    count: number,
    options: CallOptions
  ): Promise<Float32Array> => {
    const size = valueBytes[tensor.type] as number
    return floats(await source.read(tensor.offset + from * size, count * size, options), tensor.type)
  }
  const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
  const bytesOf = (shape: readonly number[], format: EncoderFormat): number =>
    product(shape) * (format === 'f32' ? 4 : 2)

  return {
    used,
    plain(name, shape, format) {
      const tensor = find(name, shape)
      const count = product(shape)
      return {
        byteLength: bytesOf(shape, format),
        async *pieces(options = {}) {
          for (let from = 0; from < count; from += pieceValues)
            yield stored(await read(tensor, from, Math.min(pieceValues, count - from), options), format, name)
        }
      }
    },
    transposed(name, shape, format) {
      const tensor = find(name, shape)
      const [rows, columns] = shape
      if (rows * columns > maxMatrixValues) throw wrong(name, 'is too large')
      return {
        byteLength: bytesOf(shape, format),
        async *pieces(options = {}) {
          yield stored(transpose(await read(tensor, 0, rows * columns, options), rows, columns), format, name)
        }
      }
    },
    rows: (name, shape, count, options) => read(find(name, shape), 0, count * shape[1], options)
  }
}

/** The values of little-endian bytes. */
function floats(bytes: Uint8Array, type: string): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // Machines that run this are little-endian, but bytes may begin anywhere.
  if (type === 'F32') return new Float32Array(bytes.slice().buffer)
  const values = new Float32Array(bytes.byteLength / 2)
  if (type === 'F16') {
    const table = halfTable()
    for (let i = 0; i < values.length; i++) values[i] = table[view.getUint16(2 * i, true)] as number
  } else {
    // BF16 is the upper half of a 32-bit float.
    const words = new Uint32Array(values.buffer)
    for (let i = 0; i < words.length; i++) words[i] = view.getUint16(2 * i, true) << 16
  }
  return values
}

function wrong(name: string, why: string): Error {
  return shardError('ERR_ENCODER_INVALID_TENSOR', `Cannot run the encoder: the tensor ${name} ${why}`, {
    details: { tensor: name }
  })
}

// Newer than what this package is compiled for, and twenty times as fast as a function.
const { Float16Array: Halves } = globalThis as {
  Float16Array?: new (values: Float32Array) => { readonly buffer: ArrayBuffer }
}

/** Bytes of the values of a tensor in a format. */
export function stored(values: Float32Array, format: EncoderFormat, name: string): Uint8Array {
  if (format === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const halves =
    Halves === undefined ? Uint16Array.from(values, numberToHalf) : new Uint16Array(new Halves(values).buffer)
  // All bits of the exponent: infinite, or no number.
  if (halves.some((bits) => (bits & 0x7c00) === 0x7c00)) throw wrong(name, 'has values that f16 cannot hold')
  return new Uint8Array(halves.buffer)
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column] as number
  return turned
}

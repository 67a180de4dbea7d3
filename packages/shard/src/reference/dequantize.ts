import { shardError } from '../errors.ts'
import { tensorTypes, type TensorType } from '../gguf/tensor-types.ts'
import { iq4nl, iq4xs } from './dequantize-iq4.ts'
import { q2k, q3k, q4k, q5k, q6k } from './dequantize-k.ts'
import { bf16, f16, f32, q4x0, q4x1, q5x0, q5x1, q8x0, type Dequantizer } from './dequantize-basic.ts'

const dequantizers: Readonly<Partial<Record<TensorType, Dequantizer>>> = {
  F32: f32,
  F16: f16,
  BF16: bf16,
  Q4_0: q4x0,
  Q4_1: q4x1,
  Q5_0: q5x0,
  Q5_1: q5x1,
  Q8_0: q8x0,
  Q2_K: q2k,
  Q3_K: q3k,
  Q4_K: q4k,
  Q5_K: q5k,
  Q6_K: q6k,
  IQ4_NL: iq4nl,
  IQ4_XS: iq4xs
}

/** The tensor types the reference computes with. */
export const referenceTypes: readonly TensorType[] = Object.keys(dequantizers) as TensorType[]

/** @throws A KwaaiError `ERR_GGUF_UNSUPPORTED` for a type the reference does not know. */
export function dequantizerOf(type: TensorType): Dequantizer {
  const dequantizer = dequantizers[type]
  if (dequantizer === undefined)
    throw shardError(
      'ERR_GGUF_UNSUPPORTED',
      `Cannot use the model: the reference knows no tensors of type ${type}`
    )
  return dequantizer
}

/**
 * The floats a run of whole quantised blocks stands for.
 *
 * @throws A KwaaiError `ERR_GGUF_UNSUPPORTED` for a type the reference does not know, `ERR_GGUF_INVALID_TENSOR`
 * when the bytes are no whole blocks.
 */
export function dequantize(type: TensorType, bytes: Uint8Array): Float32Array {
  const { blockSize, blockBytes } = tensorTypes[type]
  if (bytes.length % blockBytes !== 0)
    throw shardError('ERR_GGUF_INVALID_TENSOR', `${bytes.length} bytes are no whole ${type} blocks`)
  const out = new Float32Array((bytes.length / blockBytes) * blockSize)
  dequantizerOf(type)(bytes, 0, out.length, out)
  return out
}

import type { ByteSource, CallOptions } from '@kwaai/interface'
import type { GgufFile, GgufTensor } from '../gguf/file.ts'
import type { LlamaConfig } from '../gguf/llama-config.ts'
import { blockTensors, ropeFactors, type TensorSpec } from '../gguf/llama-tensors.ts'
import type { BlockWeights } from './block.ts'
import { dequantize, dequantizerOf } from './dequantize.ts'
import { exp, ln } from './math.ts'
import { createMatrix, type Matrix } from './matrix.ts'
import { allocate } from './memory.ts'

/** Bytes read from a source at a time. */
const pieceBytes = 8_388_608

/** The tensors of a model, read one by one. `llamaConfig` has checked that each is there. */
export interface TensorReader {
  matrix(spec: TensorSpec): Promise<Matrix>
  vector(spec: TensorSpec): Promise<Float32Array>
}

/** Bytes the given tensors have in the file. @throws A KwaaiError `ERR_GGUF_UNSUPPORTED` for one of a type the reference does not know. */
export function weightBytes(file: GgufFile, specs: readonly TensorSpec[]): number {
  let bytes = 0
  for (const spec of specs) {
    const tensor = tensorOf(file, spec)
    dequantizerOf(tensor.type)
    bytes += tensor.byteLength
  }
  return bytes
}

/** Reads tensors of `file` out of `source`, in pieces of bounded size. */
export function createTensorReader(file: GgufFile, source: ByteSource, options: CallOptions): TensorReader {
  const read = async (tensor: GgufTensor): Promise<Uint8Array> => {
    const bytes = allocate(() => new Uint8Array(tensor.byteLength), `the tensor ${tensor.name}`)
    for (let at = 0; at < bytes.length; at += pieceBytes)
      bytes.set(await source.read(tensor.offset + at, Math.min(pieceBytes, bytes.length - at), options), at)
    return bytes
  }
  return {
    async matrix(spec) {
      const tensor = tensorOf(file, spec)
      return createMatrix(tensor.type, spec.shape[0] as number, spec.shape[1] as number, await read(tensor))
    },
    async vector(spec) {
      const tensor = tensorOf(file, spec)
      return dequantize(tensor.type, await read(tensor))
    }
  }
}

/** Reads one block. */
export async function readBlock(
  config: LlamaConfig,
  index: number,
  reader: TensorReader
): Promise<BlockWeights> {
  const specs = blockTensors(config, index)
  return {
    attentionNorm: await reader.vector(specs.attentionNorm),
    query: await reader.matrix(specs.query),
    key: await reader.matrix(specs.key),
    value: await reader.matrix(specs.value),
    attentionOutput: await reader.matrix(specs.attentionOutput),
    feedForwardNorm: await reader.vector(specs.feedForwardNorm),
    gate: await reader.matrix(specs.gate),
    up: await reader.matrix(specs.up),
    down: await reader.matrix(specs.down)
  }
}

/** Rope's frequencies, θ^(-2i / d), each divided by the factor the file may have for it. */
export async function readFrequencies(config: LlamaConfig, reader: TensorReader): Promise<Float64Array> {
  const spec = ropeFactors(config)
  const factors = spec === undefined ? undefined : await reader.vector(spec)
  const { ropeTheta, ropeDimensions } = config
  return Float64Array.from(
    { length: ropeDimensions / 2 },
    (_, i) => exp(((-2 * i) / ropeDimensions) * ln(ropeTheta)) / (factors?.[i] ?? 1)
  )
}

function tensorOf(file: GgufFile, spec: TensorSpec): GgufTensor {
  return file.tensors.get(spec.name) as GgufTensor
}

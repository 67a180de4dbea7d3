/**
 * GGUF files: where they come from, what is in them, which bytes a part of a model needs.
 *
 * ```ts no-run
 * import { httpSource, llamaConfig, readGguf, tensorRanges } from '@kwaai/shard/gguf'
 *
 * const source = await httpSource('https://models.example/model.gguf')
 * const file = await readGguf(source)
 * console.log(llamaConfig(file), tensorRanges(file, { from: 0, to: 10 }))
 * ```
 *
 * @packageDocumentation
 */
export { fileSource } from '#platform'
export { blobSource, bytesSource } from './sources.ts'
export { httpSource, type HttpSourceOptions } from './http-source.ts'
export type { GgufArray, GgufElementType, GgufFile, GgufNumberType, GgufTensor, GgufValue } from './file.ts'
export { defaultGgufLimits, readGguf, type GgufLimits, type ReadGgufOptions } from './reader.ts'
export {
  metadataBoolean,
  metadataLength,
  metadataNumber,
  metadataNumbers,
  metadataString,
  metadataStrings
} from './metadata.ts'
export {
  isWeightType,
  tensorBytes,
  tensorTypeOf,
  tensorTypes,
  type TensorType,
  type TensorTypeInfo
} from './tensor-types.ts'
export { llamaConfig, type LlamaConfig } from './llama-config.ts'
export {
  blockTensors,
  headTensors,
  ropeFactors,
  type BlockTensors,
  type HeadTensors,
  type TensorSpec
} from './llama-tensors.ts'
export { tensorRanges, type ByteRange } from './tensor-ranges.ts'
export { writeGguf, type WriteGgufInit } from './writer.ts'

import {
  blockTensors,
  headTensors,
  ropeFactors,
  tensorTypes,
  type GgufFile,
  type GgufTensor,
  type LlamaConfig
} from '../gguf/index.ts'
import { shardError } from '../errors.ts'
import type { BlockRange, BlockWeights } from './block-graph.ts'
import { logitsRows } from './constants.ts'
import { ggmlType } from './context.ts'
import type { HeadWeights } from './head-host.ts'
import type { KvFormat } from './messages.ts'
import type { Ggml } from './native.ts'
import { rowMultiple } from './row-multiple.ts'
import type { WeightSpec, Weights } from './weights.ts'

function specOf(
  file: GgufFile,
  name: string,
  use: WeightSpec['use']
): { spec: WeightSpec; tensor: GgufTensor } {
  const tensor = file.tensors.get(name)
  if (tensor === undefined) throw new Error(`the checked file has no tensor ${name}`)
  const { type, shape, byteLength } = tensor
  return { spec: { name, type: tensorTypes[type].id, shape, byteLength, use }, tensor }
}

/** A tensor of a file, and what becomes of it. */
export interface PartTensor {
  spec: WeightSpec
  tensor: GgufTensor
}

/** The tensors of blocks `[from, to)`. */
export function blockParts(
  file: GgufFile,
  config: LlamaConfig,
  range: { from: number; to: number }
): PartTensor[] {
  const parts: PartTensor[] = []
  for (let index = range.from; index < range.to; index++)
    for (const { name, kind } of Object.values(blockTensors(config, index)))
      parts.push(specOf(file, name, kind === 'matrix' ? 'product' : 'plain'))
  const factors = ropeFactors(config)
  if (factors !== undefined) parts.push(specOf(file, factors.name, 'plain'))
  return parts
}

/** The tensors of the two ends. */
export function headParts(file: GgufFile, config: LlamaConfig): PartTensor[] {
  const { tokenEmbedding, outputNorm, output } = headTensors(config)
  const ends = config.tiedHead
    ? [specOf(file, tokenEmbedding.name, 'both')]
    : [specOf(file, tokenEmbedding.name, 'plain'), specOf(file, output.name, 'single')]
  return [...ends, specOf(file, outputNorm.name, 'plain')]
}

/** A range of blocks over tensors in native memory. */
export function blockRange(
  ggml: Ggml,
  config: LlamaConfig,
  specs: readonly WeightSpec[],
  weights: Weights,
  kvFormat: KvFormat
): BlockRange {
  const indices = new Set(specs.flatMap(({ name }) => /^blk\.(\d+)\./.exec(name)?.[1] ?? []))
  const blocks = [...indices].map((index): BlockWeights => {
    const names = blockTensors(config, Number(index))
    return {
      attentionNorm: weights.plain(names.attentionNorm.name),
      query: weights.product(names.query.name),
      key: weights.product(names.key.name),
      value: weights.product(names.value.name),
      attentionOutput: weights.product(names.attentionOutput.name),
      feedForwardNorm: weights.plain(names.feedForwardNorm.name),
      gate: weights.product(names.gate.name),
      up: weights.product(names.up.name),
      down: weights.product(names.down.name)
    }
  })
  const factors = ropeFactors(config)
  return {
    config,
    blocks,
    ropeFactors: factors === undefined ? 0 : weights.plain(factors.name),
    rowMultiple: Math.max(1, ...weights.products.map((product) => multipleOf(ggml, product))),
    kvType: kvFormat === 'f16' ? ggmlType.F16 : ggmlType.F32,
    kvElementBytes: kvFormat === 'f16' ? 2 : 4
  }
}

// Powers of two, so that the largest is a multiple of the others.
function multipleOf(ggml: Ggml, { type, bufferType }: { type: number; bufferType: number }): number {
  const multiple = rowMultiple(ggml, type, bufferType)
  if (multiple !== undefined) return multiple
  const where = ggml.c.ggml_backend_buft_name(bufferType)
  throw shardError(
    'ERR_GGUF_UNSUPPORTED',
    `Cannot use the model: with weights of type ${ggml.c.ggml_type_name(type)} (${where}) results depend on how rows are grouped`
  )
}

/** The tensors of the two ends in native memory. */
export function headWeights(ggml: Ggml, config: LlamaConfig, weights: Weights): HeadWeights {
  const { tokenEmbedding, outputNorm, output } = headTensors(config)
  const { type, bufferType } = weights.layout(output.name)
  return {
    tokenEmbedding: weights.plain(tokenEmbedding.name),
    outputNorm: weights.plain(outputNorm.name),
    output: weights.product(output.name),
    maxLogitsRows: rowMultiple(ggml, type, bufferType) === 1 ? (logitsRows[0] as number) : 1
  }
}

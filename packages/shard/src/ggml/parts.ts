import {
  blockTensors,
  headTensors,
  ropeFactors,
  tensorTypes,
  type GgufFile,
  type GgufTensor,
  type LlamaConfig
} from '../gguf/index.ts'
import type { BlockWeights } from './block-graph.ts'
import type { HeadWeights } from './head-host.ts'
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
    : [specOf(file, tokenEmbedding.name, 'plain'), specOf(file, output.name, 'product')]
  return [...ends, specOf(file, outputNorm.name, 'plain')]
}

/** The tensors of blocks in native memory, and those of rope's factors or 0. */
export function blockWeights(
  config: LlamaConfig,
  specs: readonly WeightSpec[],
  weights: Weights
): { blocks: BlockWeights[]; ropeFactors: number } {
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
  return { blocks, ropeFactors: factors === undefined ? 0 : weights.plain(factors.name) }
}

/** The tensors of the two ends in native memory. */
export function headWeights(config: LlamaConfig, weights: Weights): HeadWeights {
  const { tokenEmbedding, outputNorm, output } = headTensors(config)
  return {
    tokenEmbedding: weights.plain(tokenEmbedding.name),
    outputNorm: weights.plain(outputNorm.name),
    output: weights.product(output.name)
  }
}

// Products of these types run another kernel for a single row than for several (llamafile's matrix kernels).
const singleRowDiffers: ReadonlySet<number> = new Set([
  tensorTypes.F32.id,
  tensorTypes.F16.id,
  tensorTypes.BF16.id
])

/** True when one row alone would not be computed as among several. */
export function doublesSingleRow(specs: readonly WeightSpec[]): boolean {
  return specs.some(({ type, use }) => use === 'product' && singleRowDiffers.has(type))
}

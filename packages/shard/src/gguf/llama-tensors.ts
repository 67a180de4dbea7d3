import type { LlamaConfig } from './llama-config.ts'

/** A tensor a model needs: its name and its shape in ggml's order. */
export interface TensorSpec {
  name: string
  shape: readonly number[]
  /** `matrix`: any weight type. `vector`: F32, which is how every such file has them. */
  kind: 'matrix' | 'vector'
}

/** The tensors of one Llama block. A matrix of shape `[inputs, outputs]` has one row for each output. */
export interface BlockTensors {
  attentionNorm: TensorSpec
  query: TensorSpec
  key: TensorSpec
  value: TensorSpec
  attentionOutput: TensorSpec
  feedForwardNorm: TensorSpec
  gate: TensorSpec
  up: TensorSpec
  down: TensorSpec
}

/** The tensors at the two ends of a model. */
export interface HeadTensors {
  tokenEmbedding: TensorSpec
  outputNorm: TensorSpec
  /** The head; the embedding once more where the two are tied. */
  output: TensorSpec
}

/** The name of the tensor with the frequency factors of rope, which belongs to every block. */
export const ropeFactorsName: string = 'rope_freqs.weight'

const matrix = (name: string, inputs: number, outputs: number): TensorSpec => ({
  name,
  shape: [inputs, outputs],
  kind: 'matrix'
})
const vector = (name: string, length: number): TensorSpec => ({ name, shape: [length], kind: 'vector' })

/** The tensors of block `index` with the shapes they must have. */
export function blockTensors(config: LlamaConfig, index: number): BlockTensors {
  const { hiddenSize, feedForwardSize } = config
  const queries = config.headCount * config.headSize
  const keys = config.kvHeadCount * config.headSize
  const name = (part: string): string => `blk.${index}.${part}.weight`
  return {
    attentionNorm: vector(name('attn_norm'), hiddenSize),
    query: matrix(name('attn_q'), hiddenSize, queries),
    key: matrix(name('attn_k'), hiddenSize, keys),
    value: matrix(name('attn_v'), hiddenSize, keys),
    attentionOutput: matrix(name('attn_output'), queries, hiddenSize),
    feedForwardNorm: vector(name('ffn_norm'), hiddenSize),
    gate: matrix(name('ffn_gate'), hiddenSize, feedForwardSize),
    up: matrix(name('ffn_up'), hiddenSize, feedForwardSize),
    down: matrix(name('ffn_down'), feedForwardSize, hiddenSize)
  }
}

/** The embedding, the final norm and the head with the shapes they must have. */
export function headTensors(config: LlamaConfig): HeadTensors {
  const tokenEmbedding = matrix('token_embd.weight', config.hiddenSize, config.vocabularySize)
  return {
    tokenEmbedding,
    outputNorm: vector('output_norm.weight', config.hiddenSize),
    output: config.tiedHead
      ? tokenEmbedding
      : matrix('output.weight', config.hiddenSize, config.vocabularySize)
  }
}

/** The frequency factors of rope, `[ropeDimensions / 2]`, where the model has them. */
export function ropeFactors(config: LlamaConfig): TensorSpec | undefined {
  return config.ropeFactors ? vector(ropeFactorsName, config.ropeDimensions / 2) : undefined
}

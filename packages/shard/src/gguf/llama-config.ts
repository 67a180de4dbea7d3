import type { ModelShape } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { GgufFile } from './file.ts'
import { blockTensors, headTensors, ropeFactors, ropeFactorsName, type TensorSpec } from './llama-tensors.ts'
import { metadataBoolean, metadataLength, metadataNumber, metadataString } from './metadata.ts'
import { isWeightType } from './tensor-types.ts'

/** Everything that shapes the arithmetic of a Llama model. */
export interface LlamaConfig extends ModelShape {
  readonly architecture: 'llama'
  /** Width of the feed-forward part. */
  readonly feedForwardSize: number
  /** Added under the root of the rms norms. */
  readonly rmsEpsilon: number
  /** The base of the rope frequencies. */
  readonly ropeTheta: number
  /** Elements of a head that rope turns: all of them in this architecture. */
  readonly ropeDimensions: number
  /** True when the file divides the rope frequencies by factors of its own (Llama 3.1 and later). */
  readonly ropeFactors: boolean
  /** True when the head is the embedding. */
  readonly tiedHead: boolean
}

// What would change the arithmetic, and the value with which it does not.
const neutral: Readonly<Record<string, number>> = {
  expert_count: 0,
  'attention.sliding_window': 0,
  'attention.clamp_kqv': 0,
  'attention.max_alibi_bias': 0,
  'attention.scale': 0,
  'attention.temperature_scale': 0,
  attn_logit_softcapping: 0,
  final_logit_softcapping: 0,
  logit_scale: 1,
  residual_scale: 1,
  embedding_scale: 1,
  'rope.scale_linear': 1,
  'rope.scaling.attn_factor': 1
}

// Above any model there is; keeps products of these numbers exact and lists of blocks short.
const maxBlocks = 1024
const maxWidth = 1_048_576
const maxContext = 16_777_216

/**
 * The configuration of a Llama model, with every tensor's presence, shape and type checked against it: what
 * passes here is safe to hand to native code.
 *
 * @throws A KwaaiError `ERR_GGUF_UNSUPPORTED` for another architecture, a variant of rope, biases, experts, a
 * sliding window or a tensor this architecture does not have; `ERR_GGUF_MISSING_METADATA`;
 * `ERR_GGUF_INVALID_TENSOR`.
 */
export function llamaConfig(file: GgufFile): LlamaConfig {
  const architecture = metadataString(file, 'general.architecture')
  if (architecture === undefined) throw missing('general.architecture')
  if (architecture !== 'llama') throw unsupported(`the architecture ${architecture} is not llama`)
  refuseVariants(file)

  const hiddenSize = size(file, 'embedding_length', maxWidth)
  const headCount = size(file, 'attention.head_count', maxWidth)
  const headSize = size(file, 'attention.key_length', maxWidth, hiddenSize / headCount)
  const embedding = file.tensors.get('token_embd.weight')
  if (embedding === undefined) throw missingTensor('token_embd.weight')
  const config: LlamaConfig = {
    architecture,
    blockCount: size(file, 'block_count', maxBlocks),
    hiddenSize,
    headCount,
    kvHeadCount: size(file, 'attention.head_count_kv', maxWidth, headCount),
    headSize,
    vocabularySize: embedding.shape[1] ?? 1,
    contextLength: size(file, 'context_length', maxContext),
    feedForwardSize: size(file, 'feed_forward_length', maxWidth),
    rmsEpsilon: positive(file, 'attention.layer_norm_rms_epsilon'),
    ropeTheta: positive(file, 'rope.freq_base', 10_000),
    ropeDimensions: size(file, 'rope.dimension_count', maxWidth, headSize),
    ropeFactors: file.tensors.has(ropeFactorsName),
    tiedHead: !file.tensors.has('output.weight')
  }
  if (size(file, 'attention.value_length', maxWidth, headSize) !== headSize)
    throw unsupported('heads of values and keys differ in width')
  if (config.ropeDimensions !== headSize) throw unsupported('rope turns a part of each head only')
  if (headSize % 2 !== 0) throw unsupported(`heads have an odd width, ${headSize}`)
  if (headCount % config.kvHeadCount !== 0)
    throw unsupported(`${headCount} heads do not share ${config.kvHeadCount} key and value heads evenly`)
  const tokens = metadataLength(file, 'tokenizer.ggml.tokens')
  if (tokens !== undefined && tokens !== config.vocabularySize)
    throw shardError(
      'ERR_GGUF_INVALID_TENSOR',
      `Cannot use the model: it has ${tokens} tokens and embeddings for ${config.vocabularySize}`
    )
  checkTensors(file, config)
  return config
}

function refuseVariants(file: GgufFile): void {
  const scaling = metadataString(file, 'llama.rope.scaling.type')
  if (scaling !== undefined && scaling !== 'none') throw unsupported(`rope scaling of type ${scaling}`)
  if (metadataBoolean(file, 'llama.attention.causal') === false)
    throw unsupported('attention that is not causal')
  if (metadataBoolean(file, 'llama.use_parallel_residual') === true) throw unsupported('parallel residuals')
  for (const [name, value] of Object.entries(neutral)) {
    const found = metadataNumber(file, `llama.${name}`)
    if (found !== undefined && found !== value) throw unsupported(`llama.${name} = ${found}`)
  }
}

/** All tensors the model needs are there as they should be, and no others. */
function checkTensors(file: GgufFile, config: LlamaConfig): void {
  const known = new Set<string>()
  const check = (spec: TensorSpec): void => {
    known.add(spec.name)
    checkTensor(file, spec)
  }
  Object.values(headTensors(config)).forEach(check)
  const factors = ropeFactors(config)
  if (factors !== undefined) check(factors)
  for (let index = 0; index < config.blockCount; index++)
    Object.values(blockTensors(config, index)).forEach(check)
  for (const name of file.tensors.keys())
    if (!known.has(name))
      throw unsupported(`the tensor ${name} has no place in this architecture`, { tensor: name })
}

function checkTensor(file: GgufFile, spec: TensorSpec): void {
  const tensor = file.tensors.get(spec.name)
  if (tensor === undefined) throw missingTensor(spec.name)
  // ggml writes trailing dimensions of one or leaves them out.
  const shape = [...tensor.shape]
  while (shape.length > spec.shape.length && shape.at(-1) === 1) shape.pop()
  while (shape.length < spec.shape.length) shape.push(1)
  const details = { tensor: spec.name }
  if (shape.length !== spec.shape.length || shape.some((n, i) => n !== spec.shape[i]))
    throw shardError(
      'ERR_GGUF_INVALID_TENSOR',
      `Cannot use the model: the tensor ${spec.name} is ${tensor.shape.join(' x ')}, not ${spec.shape.join(' x ')}`,
      { details }
    )
  const fits = spec.kind === 'vector' ? tensor.type === 'F32' : isWeightType(tensor.type)
  if (!fits) throw unsupported(`the tensor ${spec.name} is of type ${tensor.type}`, details)
}

function size(file: GgufFile, name: string, limit: number, fallback?: number): number {
  const key = `llama.${name}`
  const entry = file.metadata.get(key)
  if (entry?.type === 'array') throw unsupported(`${key} differs from block to block`)
  const value = metadataNumber(file, key) ?? fallback
  if (value === undefined) throw missing(key)
  if (!Number.isSafeInteger(value) || value < 1 || value > limit)
    throw shardError('ERR_GGUF_MISSING_METADATA', `Cannot use the model: ${key} is ${value}`, {
      details: { key }
    })
  return value
}

function positive(file: GgufFile, name: string, fallback?: number): number {
  const key = `llama.${name}`
  const value = metadataNumber(file, key) ?? fallback
  if (value === undefined) throw missing(key)
  if (!(value > 0 && value < Infinity))
    throw shardError('ERR_GGUF_MISSING_METADATA', `Cannot use the model: ${key} is ${value}`, {
      details: { key }
    })
  return value
}

function unsupported(what: string, details?: Record<string, unknown>): Error {
  const message = `Cannot use the model: ${what}, which is not supported`
  return shardError('ERR_GGUF_UNSUPPORTED', message, details === undefined ? {} : { details })
}

function missing(key: string): Error {
  return shardError('ERR_GGUF_MISSING_METADATA', `Cannot use the model: its metadata has no ${key}`, {
    details: { key }
  })
}

function missingTensor(tensor: string): Error {
  return shardError('ERR_GGUF_INVALID_TENSOR', `Cannot use the model: it has no tensor ${tensor}`, {
    details: { tensor }
  })
}

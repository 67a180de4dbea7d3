import { shardError } from '../errors.ts'

/** The shape of a BERT encoder. */
export interface BertConfig {
  /** Width of a token's vector, and of a text's. */
  hiddenSize: number
  layerCount: number
  headCount: number
  /** Width of the inner layer of the feed-forward part. */
  innerSize: number
  vocabularySize: number
  /** Tokens of a text at most. */
  maxPositions: number
  /** Kinds of text a token can belong to; all tokens are of the first. */
  typeCount: number
  /** Added to the variance before its root is taken. */
  normEpsilon: number
}

// Far beyond any encoder of this kind; what is larger is a mistake or an attack.
const limits: Readonly<Record<string, number>> = {
  hidden_size: 8_192,
  num_hidden_layers: 128,
  num_attention_heads: 256,
  intermediate_size: 65_536,
  vocab_size: 1_000_000,
  max_position_embeddings: 65_536,
  type_vocab_size: 64
}

/**
 * Checks the `config.json` of an encoder, and refuses by name what would change its arithmetic.
 *
 * @throws A KwaaiError `ERR_ENCODER_INVALID_CONFIG` for what is missing or out of range, `ERR_ENCODER_UNSUPPORTED`
 * for what this package does not compute.
 */
export function bertConfig(json: unknown): BertConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid('it is no JSON object', 'config')
  const config = json as Readonly<Record<string, unknown>>
  supported(config, 'model_type', ['bert'])
  supported(config, 'hidden_act', ['gelu'])
  supported(config, 'position_embedding_type', ['absolute', undefined])
  supported(config, 'is_decoder', [false, undefined])
  supported(config, 'add_cross_attention', [false, undefined])
  supported(config, 'embedding_size', [config['hidden_size'], undefined])
  const count = (key: string): number => {
    const value = config[key]
    const most = limits[key] as number
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > most)
      throw invalid(`${key} is no whole number from 1 to ${most}`, key)
    return value
  }
  const normEpsilon = config['layer_norm_eps']
  if (typeof normEpsilon !== 'number' || !(normEpsilon > 0) || normEpsilon > 0.1)
    throw invalid('layer_norm_eps is no number above 0 and up to 0.1', 'layer_norm_eps')
  const shape = {
    hiddenSize: count('hidden_size'),
    layerCount: count('num_hidden_layers'),
    headCount: count('num_attention_heads'),
    innerSize: count('intermediate_size'),
    vocabularySize: count('vocab_size'),
    maxPositions: count('max_position_embeddings'),
    typeCount: count('type_vocab_size'),
    normEpsilon
  }
  if (shape.hiddenSize % shape.headCount !== 0)
    throw invalid(
      `${shape.headCount} heads do not divide a width of ${shape.hiddenSize}`,
      'num_attention_heads'
    )
  return shape
}

function invalid(why: string, key: string): Error {
  return shardError('ERR_ENCODER_INVALID_CONFIG', `Cannot use the encoder's config.json: ${why}`, {
    details: { key }
  })
}

function supported(config: Readonly<Record<string, unknown>>, key: string, values: readonly unknown[]): void {
  const value = config[key]
  if (values.includes(value)) return
  const found = value === undefined ? 'nothing' : (JSON.stringify(value) ?? '').slice(0, 80)
  const wanted = values.filter((each) => each !== undefined).join(' or ')
  throw shardError(
    'ERR_ENCODER_UNSUPPORTED',
    `Cannot run the encoder: ${key} is ${found}, only ${wanted} is computed`,
    { details: { key } }
  )
}

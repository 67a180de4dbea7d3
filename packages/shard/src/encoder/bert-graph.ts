import type { ByteSource, CallOptions } from '@kwaai/interface'
import {
  createOnnxGraph,
  writeOnnxModel,
  type OnnxModel,
  type OnnxTensorPieces,
  type OnnxGraphBuilder
} from '../onnx-graph/index.ts'
import { shardError } from '../errors.ts'
import type { BertConfig } from './bert-config.ts'
import { createWeightReader, stored, type EncoderFormat, type WeightReader } from './bert-weights.ts'
import { readSafetensors } from './safetensors.ts'

/** What {@link bertEncoderModel} and {@link buildBertEncoder} make a graph of. */
export interface BertEncoderInit extends CallOptions {
  config: BertConfig
  /** How matrices are stored. Default `f32`. */
  format?: EncoderFormat
}

/** What masked tokens get added to their scores: their part of a softmax is 0 in 32-bit floats. */
const maskedScore = -10_000
/** What a length is at least before it is divided by (torch.nn.functional.normalize). */
const minLength = 1e-12

/**
 * A BERT encoder as an ONNX file in memory: `input_ids` and `attention_mask`, int64 `[batch, tokens]`, to
 * `embedding`, float32 `[batch, hiddenSize]`: the mean over the tokens of the mask, of length 1.
 *
 * @throws A KwaaiError `ERR_SAFETENSORS_…` or `ERR_ENCODER_INVALID_TENSOR` for weights that are none or of another
 * model, or what the source throws.
 */
export async function buildBertEncoder(
  init: BertEncoderInit,
  weights: ByteSource
): Promise<Uint8Array<ArrayBuffer>> {
  const { signal } = init
  return writeOnnxModel(await bertEncoderModel(init, weights), signal === undefined ? {} : { signal })
}

/** What BERT's files hold besides the encoder: positions 0, 1, 2 …, and heads for other tasks. */
const leftAside = /^(embeddings\.position_ids$|pooler\.|cls\.)/

/** The same as a model that is not written yet, for files and streams: `encodeOnnxModel` gives its pieces. */
export async function bertEncoderModel(init: BertEncoderInit, weights: ByteSource): Promise<OnnxModel> {
  const { config, format = 'f32', signal } = init
  const options = signal === undefined ? {} : { signal }
  const file = await readSafetensors(weights, options)
  const reader = createWeightReader(file, weights)
  const graph = createOnnxGraph('bert-encoder')
  const shape = ['batch', 'tokens']
  const ids = graph.input({ name: 'input_ids', type: 'i64', shape })
  const mask = graph.input({ name: 'attention_mask', type: 'i64', shape })
  const parts: Parts = { config, format, graph, reader }

  const maskFloats = graph.node('Cast', [mask], { attributes: { to: { int: 1 } } })
  const last = graph.ints('axis.last', [-1])
  // [batch, 1, 1, tokens], added to the scores of every head and row.
  const masked = graph.node('Sub', [graph.float('one', 1), maskFloats])
  const scores = graph.node('Mul', [masked, graph.float('masked', maskedScore)])
  const bias = graph.node('Unsqueeze', [scores, graph.ints('axes.heads', [1, 2])])

  let x = await embeddings(parts, ids, options)
  for (let layer = 0; layer < config.layerCount; layer++) x = block(parts, layer, x, bias)

  const weight = graph.node('Unsqueeze', [maskFloats, last])
  const tokens = graph.ints('axis.tokens', [1])
  const keep = { attributes: { keepdims: { int: 0 } } }
  const sum = graph.node('ReduceSum', [graph.node('Mul', [x, weight]), tokens], keep)
  const mean = graph.node('Div', [sum, graph.node('ReduceSum', [weight, tokens], keep)])
  const length = graph.node('ReduceL2', [mean, last], { attributes: { keepdims: { int: 1 } } })
  graph.node('Div', [mean, graph.node('Max', [length, graph.float('length.min', minLength)])], {
    output: 'embedding'
  })
  graph.output({ name: 'embedding', type: 'f32', shape: ['batch', config.hiddenSize] })
  for (const name of file.tensors.keys())
    if (!reader.used.has(name) && !leftAside.test(name))
      throw shardError(
        'ERR_ENCODER_UNSUPPORTED',
        `Cannot run the encoder: the tensor ${name} has no place in it`,
        {
          details: { tensor: name }
        }
      )
  return { graph: graph.build() }
}

interface Parts {
  config: BertConfig
  format: EncoderFormat
  graph: OnnxGraphBuilder
  reader: WeightReader
}

/** Token, position and type together, normalised: `[batch, tokens, hidden]`. */
async function embeddings(parts: Parts, ids: string, options: CallOptions): Promise<string> {
  const { config, format, graph, reader } = parts
  const { hiddenSize, vocabularySize, maxPositions, typeCount } = config
  const wordShape = [vocabularySize, hiddenSize]
  const words = reader.plain('embeddings.word_embeddings.weight', wordShape, format)
  const table = tensor(graph, 'embeddings.words', wordShape, words, format)
  // Rows are picked before they are widened: the table is half of the model.
  const picked = widened(graph, graph.node('Gather', [table, ids]), format)
  const all = [maxPositions, hiddenSize] as const
  const positions = await reader.rows('embeddings.position_embeddings.weight', all, maxPositions, options)
  const type = await reader.rows(
    'embeddings.token_type_embeddings.weight',
    [typeCount, hiddenSize],
    1,
    options
  )
  // All tokens are of the first type, so its row goes into every position.
  const placed = positions.map((value, i) => value + (type[i % hiddenSize] as number))
  const positionTable = graph.tensor({
    name: 'embeddings.positions',
    type: 'f32',
    shape: [...all],
    data: stored(placed, 'f32', 'positions')
  })
  const count = graph.node('Shape', [ids], { attributes: { start: { int: 1 }, end: { int: 2 } } })
  const here = graph.node('Slice', [
    positionTable,
    graph.ints('positions.from', [0]),
    count,
    graph.ints('positions.axis', [0])
  ])
  return norm(parts, graph.node('Add', [picked, here]), 'embeddings.LayerNorm')
}

/** Attention and feed-forward of one layer, each added to its input and normalised. */
function block(parts: Parts, layer: number, x: string, bias: string): string {
  const { config, graph } = parts
  const { hiddenSize, headCount, innerSize } = config
  const at = `encoder.layer.${layer}`
  const width = hiddenSize / headCount
  const split = graph.ints(`${at}.split`, [0, 0, headCount, width])
  const heads = (name: string, order: readonly number[]): string => {
    const y = linear(parts, x, `${at}.attention.self.${name}`, hiddenSize, hiddenSize)
    const cut = graph.node('Reshape', [y, split])
    return graph.node('Transpose', [cut], { attributes: { perm: { ints: order } } })
  }
  const query = heads('query', [0, 2, 1, 3])
  const key = heads('key', [0, 2, 3, 1])
  const value = heads('value', [0, 2, 1, 3])
  const scaled = graph.node('Mul', [
    graph.node('MatMul', [query, key]),
    graph.float(`${at}.scale`, 1 / Math.sqrt(width))
  ])
  const shares = graph.node('Softmax', [graph.node('Add', [scaled, bias])], {
    attributes: { axis: { int: -1 } }
  })
  const mixed = graph.node('Transpose', [graph.node('MatMul', [shares, value])], {
    attributes: { perm: { ints: [0, 2, 1, 3] } }
  })
  const joined = graph.node('Reshape', [mixed, graph.ints(`${at}.join`, [0, 0, hiddenSize])])
  const attended = linear(parts, joined, `${at}.attention.output.dense`, hiddenSize, hiddenSize)
  const y = norm(parts, graph.node('Add', [x, attended]), `${at}.attention.output.LayerNorm`)
  const inner = graph.node('Gelu', [linear(parts, y, `${at}.intermediate.dense`, hiddenSize, innerSize)])
  const out = linear(parts, inner, `${at}.output.dense`, innerSize, hiddenSize)
  return norm(parts, graph.node('Add', [y, out]), `${at}.output.LayerNorm`)
}

function linear({ format, graph, reader }: Parts, x: string, name: string, from: number, to: number): string {
  const weight = reader.transposed(`${name}.weight`, [to, from], format)
  const matrix = widened(graph, tensor(graph, `${name}.weight`, [from, to], weight, format), format)
  const offset = tensor(graph, `${name}.bias`, [to], reader.plain(`${name}.bias`, [to], 'f32'), 'f32')
  return graph.node('Add', [graph.node('MatMul', [x, matrix]), offset])
}

function norm({ config, graph, reader }: Parts, x: string, name: string): string {
  const shape = [config.hiddenSize]
  const scale = tensor(graph, `${name}.weight`, shape, reader.plain(`${name}.weight`, shape, 'f32'), 'f32')
  const shift = tensor(graph, `${name}.bias`, shape, reader.plain(`${name}.bias`, shape, 'f32'), 'f32')
  return graph.node('LayerNormalization', [x, scale, shift], {
    attributes: { axis: { int: -1 }, epsilon: { float: config.normEpsilon } }
  })
}

function tensor(
  graph: OnnxGraphBuilder,
  name: string,
  shape: readonly number[],
  data: OnnxTensorPieces,
  format: EncoderFormat
): string {
  return graph.tensor({ name, type: format, shape, data })
}

/** Values as 32-bit floats, whatever they are stored as. */
function widened(graph: OnnxGraphBuilder, name: string, format: EncoderFormat): string {
  return format === 'f32' ? name : graph.node('Cast', [name], { attributes: { to: { int: 1 } } })
}

import type { CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { checkGraph, checkTensor, invalidGraph } from './check.ts'
import { defaultOpset, irVersion, maxModelBytes } from './constants.ts'
import { elementTypes } from './element-types.ts'
import type { OnnxAttribute, OnnxModel, OnnxNode, OnnxTensor, OnnxTensorPieces, OnnxValue } from './model.ts'
import { Message } from './proto.ts'

// The numbers of fields below are those of onnx/onnx.proto, version 1.16.
type Part = Message<OnnxTensorPieces>
const createPart = (): Part => new Message<OnnxTensorPieces>()

/** Options of {@link writeOnnxModel}. */
export interface WriteOnnxOptions extends CallOptions {
  /** Bytes of the whole at most. Default, and protobuf's own limit: 2 GiB less one. */
  maxBytes?: number
}

/** A model whose length is known, and whose bytes are made when they are wanted. */
export interface EncodedOnnxModel {
  readonly byteLength: number
  /** The bytes of the file in order. Large tensors come piece by piece, nothing is kept. */
  pieces(options?: CallOptions): AsyncIterable<Uint8Array>
}

/**
 * Checks a model and lays out its file, without making the bytes of its tensors.
 *
 * @throws A KwaaiError `ERR_ONNX_INVALID` for a graph that contradicts itself, `ERR_ONNX_LIMIT_EXCEEDED` for one
 * that is too large.
 */
export function encodeOnnxModel(model: OnnxModel, options: WriteOnnxOptions = {}): EncodedOnnxModel {
  const opsets = Object.entries(model.opsets ?? { '': defaultOpset })
  checkGraph(model.graph, new Set(opsets.map(([domain]) => domain)))
  const message = createPart()
  message.int(1, model.irVersion ?? irVersion)
  message.text(2, model.producer ?? '@kwaai/shard')
  message.message(7, graphMessage(model))
  for (const [domain, version] of opsets) {
    const opset = createPart()
    opset.text(1, domain)
    opset.int(2, version)
    message.message(8, opset)
  }
  for (const [key, value] of Object.entries(model.metadata ?? {})) message.message(14, entry(key, value))
  const { chunks, byteLength } = message
  const most = Math.min(options.maxBytes ?? maxModelBytes, maxModelBytes)
  if (byteLength > most)
    throw shardError(
      'ERR_ONNX_LIMIT_EXCEEDED',
      `Cannot write the model: it has ${byteLength} bytes, ${most} is the most. What helps: external data`,
      { details: { byteLength, limit: most } }
    )
  return {
    byteLength,
    async *pieces(each = {}) {
      for (const chunk of chunks) {
        each.signal?.throwIfAborted()
        if (chunk instanceof Uint8Array) yield chunk
        else yield* whole(chunk, each)
      }
    }
  }
}

/**
 * Makes an ONNX file in memory. Beside the file itself there is never more than a piece of one tensor.
 *
 * @throws A KwaaiError as {@link encodeOnnxModel} does, the signal's reason, or what a tensor's pieces throw.
 */
export async function writeOnnxModel(
  model: OnnxModel,
  options: WriteOnnxOptions = {}
): Promise<Uint8Array<ArrayBuffer>> {
  const encoded = encodeOnnxModel(model, options)
  const file = new Uint8Array(encoded.byteLength)
  let end = 0
  for await (const piece of encoded.pieces(options)) {
    file.set(piece, end)
    end += piece.byteLength
  }
  return file
}

/** Pieces that together have the length they were announced with: a file with others would be garbage. */
async function* whole(tensor: OnnxTensorPieces, options: CallOptions): AsyncIterable<Uint8Array> {
  let left = tensor.byteLength
  const wrong = (): Error => invalidGraph(`a tensor of ${tensor.byteLength} bytes gave others`)
  for await (const piece of tensor.pieces(options)) {
    options.signal?.throwIfAborted()
    left -= piece.byteLength
    if (left < 0) throw wrong()
    yield piece
  }
  if (left > 0) throw wrong()
}

function graphMessage({ graph }: OnnxModel): Part {
  const message = createPart()
  for (const node of graph.nodes) message.message(1, nodeMessage(node))
  message.text(2, graph.name)
  for (const tensor of graph.tensors) message.message(5, tensorMessage(tensor))
  for (const input of graph.inputs) message.message(11, valueMessage(input))
  for (const output of graph.outputs) message.message(12, valueMessage(output))
  return message
}

function nodeMessage(node: OnnxNode): Part {
  const message = createPart()
  for (const input of node.inputs) message.text(1, input)
  for (const output of node.outputs) message.text(2, output)
  if (node.name !== undefined) message.text(3, node.name)
  message.text(4, node.op)
  for (const [name, attribute] of Object.entries(node.attributes ?? {}))
    message.message(5, attributeMessage(name, attribute))
  if (node.domain !== undefined && node.domain !== '') message.text(7, node.domain)
  return message
}

function attributeMessage(name: string, attribute: OnnxAttribute): Part {
  const message = createPart()
  message.text(1, name)
  // `type` has the numbers of AttributeProto.AttributeType.
  if ('float' in attribute) {
    message.float(2, attribute.float)
    message.int(20, 1)
  } else if ('int' in attribute) {
    message.int(3, attribute.int)
    message.int(20, 2)
  } else if ('string' in attribute) {
    message.text(4, attribute.string)
    message.int(20, 3)
  } else if ('tensor' in attribute) {
    checkTensor(attribute.tensor)
    message.message(5, tensorMessage(attribute.tensor))
    message.int(20, 4)
  } else if ('floats' in attribute) {
    for (const value of attribute.floats) message.float(7, value)
    message.int(20, 6)
  } else if ('ints' in attribute) {
    for (const value of attribute.ints) message.int(8, value)
    message.int(20, 7)
  } else {
    for (const value of attribute.strings) message.text(9, value)
    message.int(20, 8)
  }
  return message
}

function tensorMessage({ name, type, shape, data }: OnnxTensor): Part {
  const message = createPart()
  for (const n of shape) message.int(1, n)
  message.int(2, elementTypes[type].id)
  message.text(8, name)
  if (!('external' in data)) message.bytes(9, data)
  else {
    const { location, offset, length } = data.external
    message.message(13, entry('location', location))
    message.message(13, entry('offset', String(offset)))
    message.message(13, entry('length', String(length)))
    message.int(14, 1)
  }
  return message
}

function valueMessage({ name, type, shape }: OnnxValue): Part {
  const dimensions = createPart()
  for (const n of shape) {
    const dimension = createPart()
    if (typeof n === 'number') dimension.int(1, n)
    else dimension.text(2, n)
    dimensions.message(1, dimension)
  }
  const tensor = createPart()
  tensor.int(1, elementTypes[type].id)
  tensor.message(2, dimensions)
  const typeMessage = createPart()
  typeMessage.message(1, tensor)
  const message = createPart()
  message.text(1, name)
  message.message(2, typeMessage)
  return message
}

function entry(key: string, value: string): Part {
  const message = createPart()
  message.text(1, key)
  message.text(2, value)
  return message
}

import { shardError } from '../errors.ts'
import { maxDimensions, maxGraphEntries } from './constants.ts'
import { elementTypes, onnxTensorBytes } from './element-types.ts'
import type { OnnxGraph, OnnxNode, OnnxTensor, OnnxValue } from './model.ts'

/** An error of a graph that makes no sense. */
export function invalidGraph(why: string): Error {
  return shardError('ERR_ONNX_INVALID', `Cannot write the model: ${why}`)
}

/** Throws unless a graph can be run: every name is made once, before it is read, and every tensor fits its shape. */
export function checkGraph(graph: OnnxGraph, domains: ReadonlySet<string>): void {
  const { inputs, outputs, tensors, nodes } = graph
  for (const [what, list] of Object.entries({ inputs, outputs, tensors, nodes }))
    if (list.length > maxGraphEntries)
      throw shardError(
        'ERR_ONNX_LIMIT_EXCEEDED',
        `Cannot write the model: it has ${list.length} ${what}, ${maxGraphEntries} is the most`
      )
  const known = new Set<string>()
  const make = (name: string, what: string): void => {
    if (name === '') throw invalidGraph(`${what} has no name`)
    if (known.has(name)) throw invalidGraph(`${name} is made twice`)
    known.add(name)
  }
  for (const input of inputs) {
    checkValue(input)
    make(input.name, 'an input')
  }
  for (const tensor of tensors) {
    checkTensor(tensor)
    make(tensor.name, 'a tensor')
  }
  for (const node of nodes) {
    checkNode(node, known, domains)
    for (const output of node.outputs) if (output !== '') make(output, 'an output')
  }
  if (outputs.length === 0) throw invalidGraph('it has no output')
  for (const output of outputs) {
    checkValue(output)
    if (!known.has(output.name)) throw invalidGraph(`nothing makes its output ${output.name}`)
  }
}

function checkNode(node: OnnxNode, known: ReadonlySet<string>, domains: ReadonlySet<string>): void {
  const { op, domain = '' } = node
  if (op === '') throw invalidGraph('a node has no operator')
  if (!domains.has(domain)) throw invalidGraph(`${op} is of ${domain || 'ONNX'}, which has no version`)
  for (const input of node.inputs)
    if (input !== '' && !known.has(input))
      throw invalidGraph(`${op} reads ${input}, which nothing made before`)
  if (node.outputs.every((name) => name === '')) throw invalidGraph(`${op} makes nothing`)
}

function checkValue({ name, type, shape }: OnnxValue): void {
  checkType(name, type)
  checkShape(
    name,
    shape.filter((n) => typeof n === 'number')
  )
  if (shape.includes('')) throw invalidGraph(`a dimension of ${name} has an empty name`)
}

/** Throws unless a tensor has as many bytes as its shape asks for. */
export function checkTensor({ name, type, shape, data }: OnnxTensor): void {
  checkType(name, type)
  checkShape(name, shape)
  const wanted = onnxTensorBytes(type, shape)
  const found = 'external' in data ? data.external.length : data.byteLength
  if (found !== wanted)
    throw invalidGraph(`the tensor ${name} has ${found} bytes, its shape asks for ${wanted}`)
  if (!('external' in data)) return
  const { location, offset } = data.external
  if (location === '' || !Number.isSafeInteger(offset) || offset < 0)
    throw invalidGraph(`the tensor ${name} stands nowhere`)
}

function checkType(name: string, type: string): void {
  if (!Object.hasOwn(elementTypes, type)) throw invalidGraph(`${name} has no known element type`)
}

function checkShape(name: string, shape: readonly number[]): void {
  if (shape.length > maxDimensions) throw invalidGraph(`${name} has more than ${maxDimensions} dimensions`)
  if (shape.some((n) => !Number.isSafeInteger(n) || n < 0))
    throw invalidGraph(`${name} has no possible shape`)
}

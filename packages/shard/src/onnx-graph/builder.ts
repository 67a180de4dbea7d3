import type { OnnxElement } from './element-types.ts'
import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxTensor, OnnxValue } from './model.ts'

/** What {@link OnnxGraphBuilder.node} may be told besides operator and inputs. */
export interface NodeOptions {
  attributes?: Readonly<Record<string, OnnxAttribute>>
  domain?: string
  /** The name of its first output. Default: one made of the operator and a number. */
  output?: string
}

/** Puts a graph together, node by node, and finds names for what lies between. */
export interface OnnxGraphBuilder {
  /** @returns its name. */
  input(value: OnnxValue): string
  /** @returns its name. */
  tensor(tensor: OnnxTensor): string
  /** A constant of 64-bit whole numbers, such as axes and shapes. @returns its name. */
  ints(name: string, values: readonly number[]): string
  /** A constant 32-bit float. @returns its name. */
  float(name: string, value: number): string
  /** An operation with one output. @returns the output's name. */
  node(op: string, inputs: readonly string[], options?: NodeOptions): string
  /** An operation with several outputs. @returns their names. */
  nodeOf(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    options?: Omit<NodeOptions, 'output'>
  ): readonly string[]
  output(value: OnnxValue): void
  /** The graph so far. */
  build(): OnnxGraph
}

/** @returns an empty graph of that name. */
export function createOnnxGraph(name: string): OnnxGraphBuilder {
  const inputs: OnnxValue[] = []
  const outputs: OnnxValue[] = []
  const tensors: OnnxTensor[] = []
  const nodes: OnnxNode[] = []

  const add = (
    op: string,
    read: readonly string[],
    made: readonly string[],
    options: Omit<NodeOptions, 'output'>
  ): void => {
    const { attributes, domain } = options
    nodes.push({
      op,
      inputs: read,
      outputs: made,
      ...(attributes === undefined ? {} : { attributes }),
      ...(domain === undefined ? {} : { domain })
    })
  }
  const tensor = (given: OnnxTensor): string => {
    tensors.push(given)
    return given.name
  }
  const constant = (tensorName: string, type: OnnxElement, shape: readonly number[], bytes: number) => {
    const data = new Uint8Array(bytes)
    tensor({ name: tensorName, type, shape, data })
    return new DataView(data.buffer)
  }

  return {
    input(value) {
      inputs.push(value)
      return value.name
    },
    tensor,
    ints(tensorName, values) {
      const view = constant(tensorName, 'i64', [values.length], 8 * values.length)
      values.forEach((value, i) => view.setBigInt64(8 * i, BigInt(value), true))
      return tensorName
    },
    float(tensorName, value) {
      constant(tensorName, 'f32', [], 4).setFloat32(0, value, true)
      return tensorName
    },
    node(op, read, options = {}) {
      const made = options.output ?? `${op.toLowerCase()}.${nodes.length}`
      add(op, read, [made], options)
      return made
    },
    nodeOf(op, read, made, options = {}) {
      add(op, read, made, options)
      return made
    },
    output(value) {
      outputs.push(value)
    },
    build: () => ({
      name,
      inputs: [...inputs],
      outputs: [...outputs],
      tensors: [...tensors],
      nodes: [...nodes]
    })
  }
}

/**
 * Writes ONNX models: graphs of tensors and operations, for ONNX Runtime in Node.js and browsers.
 *
 * ```ts
 * import { createOnnxGraph, writeOnnxModel } from '@kwaai/shard/onnx-graph'
 *
 * const graph = createOnnxGraph('double')
 * const x = graph.input({ name: 'x', type: 'f32', shape: ['n'] })
 * graph.node('Mul', [x, graph.float('two', 2)], { output: 'y' })
 * graph.output({ name: 'y', type: 'f32', shape: ['n'] })
 * const bytes = await writeOnnxModel({ graph: graph.build() })
 * console.log(bytes.length)
 * ```
 *
 * @packageDocumentation
 */
export { elementTypes, onnxTensorBytes, type OnnxElement, type OnnxElementType } from './element-types.ts'
export type {
  OnnxAttribute,
  OnnxExternalData,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxTensorPieces,
  OnnxValue
} from './model.ts'
export { createOnnxGraph, type NodeOptions, type OnnxGraphBuilder } from './builder.ts'
export { encodeOnnxModel, writeOnnxModel, type EncodedOnnxModel, type WriteOnnxOptions } from './write.ts'
export { defaultOpset, irVersion, maxModelBytes } from './constants.ts'

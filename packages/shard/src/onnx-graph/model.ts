import type { CallOptions } from '@kwaai/interface'
import type { OnnxElement } from './element-types.ts'

/** Values too large to hold twice: made piece by piece while the file is written. */
export interface OnnxTensorPieces {
  /** Bytes of all pieces together. */
  readonly byteLength: number
  /** Called once each time the model is written. Pieces may be reused by whoever makes them after the next one. */
  pieces(options?: CallOptions): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/** Values that stand in a file of their own, as ONNX Runtime takes them beside the model. */
export interface OnnxExternalData {
  /** The file's name, or the name it is handed over by. */
  readonly location: string
  /** First byte. */
  readonly offset: number
  /** Bytes. */
  readonly length: number
}

/** A constant of a graph. Values are little-endian, row by row. */
export interface OnnxTensor {
  readonly name: string
  readonly type: OnnxElement
  readonly shape: readonly number[]
  readonly data: Uint8Array | OnnxTensorPieces | { readonly external: OnnxExternalData }
}

/** An input or output of a graph. A dimension is a length, or a name for one that varies. */
export interface OnnxValue {
  readonly name: string
  readonly type: OnnxElement
  readonly shape: readonly (number | string)[]
}

/** A setting of a node. ONNX tells whole numbers from 32-bit floats, so each says which it is. */
export type OnnxAttribute =
  | { readonly int: number | bigint }
  | { readonly ints: readonly (number | bigint)[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly tensor: OnnxTensor }

/** One operation. */
export interface OnnxNode {
  /** Such as `MatMul`. */
  readonly op: string
  /** Names of what it reads; an empty name leaves an optional input out. */
  readonly inputs: readonly string[]
  /** Names of what it makes; an empty name leaves an optional output out. */
  readonly outputs: readonly string[]
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>
  /** Such as `com.microsoft`. Default: ONNX's own. */
  readonly domain?: string
  readonly name?: string
}

/** A graph. Nodes stand in an order in which each finds what it reads. */
export interface OnnxGraph {
  readonly name: string
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  readonly tensors: readonly OnnxTensor[]
  readonly nodes: readonly OnnxNode[]
}

/** A whole model. */
export interface OnnxModel {
  readonly graph: OnnxGraph
  /** Versions of the operator sets by domain. Default: `{ '': 21 }`. */
  readonly opsets?: Readonly<Record<string, number>>
  /** Default 10, which goes with opset 21. */
  readonly irVersion?: number
  /** Who made it. Default `@kwaai/shard`. */
  readonly producer?: string
  /** Whatever else is to stand in the file, by key. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** The operator set graphs are written for by default: every operator as it stands in ONNX 1.16. */
export const defaultOpset: number = 21

/** The file format that goes with opset 21 (onnx, docs/Versioning.md: ONNX 1.16 is IR version 10). */
export const irVersion: number = 10

/** Bytes of a message at most: protobuf's own limit, which every reader of ONNX has. */
export const maxModelBytes: number = 2 ** 31 - 1

/** Nodes, tensors, inputs and outputs of a graph at most, each. */
export const maxGraphEntries: number = 1_000_000

/** Dimensions of a tensor at most. */
export const maxDimensions: number = 8

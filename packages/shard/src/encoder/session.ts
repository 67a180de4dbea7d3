import { shardError } from '../errors.ts'
import type { EncoderInput } from './batches.ts'

/** A graph that is loaded and ready to run. */
export interface EncoderSession {
  /** @returns the vectors of all rows, one behind the other. Calls come one at a time; the input may be taken away. */
  run(input: EncoderInput): Promise<Float32Array>
  /** Frees what it holds. */
  close(): Promise<void>
}

/** Where a page finds ONNX Runtime's files: a folder, or the address of each. */
export type WasmPaths = string | { mjs?: string; wasm?: string }

/** How a session runs. */
export interface EncoderSessionInit {
  threads: number
  wasmPaths?: WasmPaths
}

/** Loads a graph. The bytes may be taken away. */
export type OpenEncoderSession = (
  model: Uint8Array<ArrayBuffer>,
  init: EncoderSessionInit
) => Promise<EncoderSession>

/** The version of ONNX Runtime this package was tested with; the optional peers name it too. */
export const onnxRuntimeVersion = '1.30.0'

/** Why ONNX Runtime cannot be had, and what helps. */
export function runtimeUnavailable(name: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause)
  return shardError(
    'ERR_BACKEND_UNAVAILABLE',
    `Cannot start ONNX Runtime: ${why}. What helps: install ${name}@${onnxRuntimeVersion}`,
    { cause, details: { why, install: `${name}@${onnxRuntimeVersion}` } }
  )
}

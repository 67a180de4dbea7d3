import { shardError } from '../errors.ts'
import { runtimeUnavailable, type OpenEncoderSession } from './session.ts'

/**
 * Loads a graph into ONNX Runtime's WASM, in the thread it is called from. Threads and paths hold for the whole
 * page, and for the first session alone: ONNX Runtime starts once.
 *
 * @throws A KwaaiError `ERR_BACKEND_UNAVAILABLE` when the package `onnxruntime-web` or its files are missing,
 * `ERR_BACKEND_FAILED` for a graph it cannot run.
 */
export const openEncoderSession: OpenEncoderSession = async (model, { threads, wasmPaths }) => {
  const unavailable = (cause: unknown): never => {
    throw runtimeUnavailable('onnxruntime-web', cause)
  }
  const { env, InferenceSession, Tensor } = await import('onnxruntime-web/wasm').catch(unavailable)
  env.logLevel = 'error'
  env.wasm.numThreads = threads
  if (wasmPaths !== undefined) env.wasm.wasmPaths = wasmPaths
  const session = await InferenceSession.create(model, { executionProviders: ['wasm'] }).catch(
    (cause: unknown) => {
      // Its only words for a missing file, and for a browser without WASM.
      if (/no available backend|wasm/i.test(String(cause))) unavailable(cause)
      throw shardError('ERR_BACKEND_FAILED', `Cannot load the encoder: ${String(cause)}`, { cause })
    }
  )
  return {
    async run({ ids, mask, rows, tokens }) {
      const shape = [rows, tokens]
      const feeds = {
        input_ids: new Tensor('int64', ids, shape),
        attention_mask: new Tensor('int64', mask, shape)
      }
      const { embedding } = await session.run(feeds)
      return embedding?.data as Float32Array
    },
    close: () => session.release()
  }
}

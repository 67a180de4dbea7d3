/**
 * The arithmetic of a Llama model in plain TypeScript: slow, exact, and written to be read.
 *
 * ```ts no-run
 * import { httpSource } from '@kwaai/shard/gguf'
 * import { createReferenceBackend } from '@kwaai/shard/reference'
 *
 * const backend = createReferenceBackend()
 * const source = await httpSource('https://models.example/model.gguf')
 * const runner = await backend.loadBlocks(source, { from: 0, to: 10 })
 * const session = await runner.open({ maxTokens: 100 })
 * const hidden = new Float32Array(runner.shape.hiddenSize)
 * const [rows] = await runner.forward([{ session, past: 0, hidden, kernel: 'vec' }])
 * ```
 *
 * @packageDocumentation
 */
export {
  createReferenceBackend,
  type ReferenceBackendComponents,
  type ReferenceBackendInit
} from './backend.ts'
export type { KvFormat } from './kv-cache.ts'
export { dequantize, referenceTypes } from './dequantize.ts'

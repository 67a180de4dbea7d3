/**
 * The arithmetic of a Llama model in plain TypeScript: slow, exact, and written to be read.
 *
 * ```ts
 * const backend = createReferenceBackend()
 * const runner = await backend.loadBlocks(source, { from: 0, to: 10 })
 * const session = await runner.open({ maxTokens: 100 })
 * const [out] = await runner.forward([{ session, past: 0, hidden, kernel: 'vec' }])
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

/**
 * Block ranges on llama.cpp's own kernels, for Node.js: ggml by FFI, in a child process. It needs the packages
 * `koffi` and `@node-llama-cpp/<platform>` in the exact version this package names as its optional peer.
 *
 * ```ts
 * import { createGgmlBackend } from '@kwaai/shard/ggml'
 * import { fileSource } from '@kwaai/shard/gguf'
 *
 * const source = await fileSource(process.env['KWAAI_MODEL_PATH'] ?? 'model.gguf')
 * await using backend = createGgmlBackend({ threads: 1 })
 * await using blocks = await backend.loadBlocks(source, { from: 0, to: 10 })
 * console.log(await backend.numericsClass())
 * ```
 *
 * @packageDocumentation
 */
export { createGgmlBackend, type GgmlBackendComponents, type GgmlBackendInit } from './backend.ts'
export type { KvFormat } from './messages.ts'

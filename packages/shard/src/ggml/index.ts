/**
 * Block ranges on llama.cpp's own kernels, for Node.js: ggml by FFI, in a child process. It needs the packages
 * `koffi` and `@node-llama-cpp/<platform>` in the exact version this package names as its optional peer.
 *
 * ```ts
 * await using backend = createGgmlBackend({ threads: 2 })
 * await using blocks = await backend.loadBlocks(source, { from: 0, to: 10 })
 * ```
 *
 * @packageDocumentation
 */
export { createGgmlBackend, type GgmlBackendComponents, type GgmlBackendInit } from './backend.ts'

/**
 * A whole Kwaai node for Node.js: identity, network, records, blocks of a model, and the OpenAI-compatible API,
 * put together. The command `kwaai` is made of this.
 *
 * @packageDocumentation
 */
export { createNode, type Node, type NodeComponents, type NodeInit } from './node.ts'
export type { NodeApiInit } from './node-api.ts'
export type { NodeStatus } from './status.ts'
/** Hand it a node, and the result to an OpenAI client as its `fetch`: no HTTP server is needed. */
export { createKwaaiFetch, type FetchFunction, type KwaaiFetchInit } from '@kwaai/api'
export type { BackendName } from './loaded-model.ts'
export {
  ensureModel,
  listModels,
  openModel,
  type ModelStoreInit,
  type OpenedModel,
  type StoredModel
} from './model-store.ts'
export {
  ensureEmbedder,
  listEmbedders,
  type EmbedderStoreInit,
  type StoredEmbedder
} from './embedder-store.ts'
export { modelCacheDir, type StoreInit } from './model/store-request.ts'
export type { Progress } from './model/http-download.ts'
export {
  defaultEmbedder,
  defaultModel,
  findKnownEmbedder,
  findKnownModel,
  knownEmbedders,
  knownModels,
  type EmbedderEntry,
  type ModelEntry,
  type ModelEnvironment,
  type ModelFile,
  type ModelSource
} from './model/known-models.ts'
export { splitBlocks } from './split-blocks.ts'
export { startServer, stopServer, type Server } from './cli/servers.ts'
export type { NodeErrorCode } from './errors.ts'

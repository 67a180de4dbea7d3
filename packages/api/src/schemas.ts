/**
 * The schemas of bodies, by route: those of requests are the ones that validate them. A field of a request that is
 * null counts as absent, which they do not say.
 */
export { chatRequestSchema } from './chat-request.ts'
export { completionRequestSchema } from './completion-request.ts'
export { embeddingRequestSchema } from './embeddings.ts'
export {
  chatChunkSchema,
  chatCompletionSchema,
  completionSchema,
  embeddingListSchema,
  errorSchema,
  modelListSchema,
  modelSchema
} from './reply-schemas.ts'

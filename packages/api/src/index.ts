/**
 * The OpenAI-compatible API as one function from a `Request` to a `Response`, over any `LanguageModel`: a chain
 * of shards, a local model, another server. It listens nowhere by itself and runs wherever `fetch` does;
 * `@kwaai/api/node` puts it behind an HTTP server.
 *
 * @packageDocumentation
 */
export { createApi, type Api, type ApiComponents, type ApiInit } from './api.ts'
export { createKwaaiFetch, type FetchFunction, type KwaaiFetchInit } from './kwaai-fetch.ts'
export {
  createApiKeys,
  type ApiKey,
  type ApiKeys,
  type ApiKeysComponents,
  type ApiKeysInit,
  type CreateKeyInit,
  type KeyLimits
} from './keys.ts'
export type { EndedAnswer, OutcomeRecorder } from './admission.ts'
export type { AnswerKind, AnswerOutcome } from './context.ts'
export type { CallerFacts } from './api-request.ts'
export type { GuardInit } from './guard.ts'
export type { ApiErrorCode } from './errors.ts'
export type { ErrorObject } from './refusals.ts'
export type {
  AnswerHead,
  ChatCompletion,
  ChatCompletionChunk,
  ChatLogprobs,
  Completion,
  CompletionLogprobs,
  EmbedderObject,
  EmbeddingList,
  ModelObject,
  TokenLogprobObject,
  TokenProbabilityObject,
  ToolCallDelta,
  ToolCallObject,
  UsageObject
} from './responses.ts'
export {
  verifyProvenance,
  type VerifiedProvenance,
  type VerifyProvenanceOptions
} from './provenance/verify.ts'
export type { ProvenanceInit, ProvenanceObject } from './provenance/provenance.ts'
export type { ModelFacts } from './provenance/describe.ts'
export type { ProvenanceRecord } from './provenance/record.ts'
export type { ResponseStoreInit } from './responses-api/routes.ts'
export type { ResponseEvent, ResponseStreamEvent } from './responses-api/events.ts'
export type {
  ConversationItem,
  FunctionCallItem,
  FunctionCallOutputItem,
  FunctionToolObject,
  InputMessageItem,
  ItemStatus,
  LogprobObject,
  OutputItem,
  OutputMessageItem,
  OutputTextPart,
  ResponseItemList,
  ResponseObject,
  ResponseUsageObject,
  TextFormatObject,
  ToolChoiceObject
} from './responses-api/objects.ts'

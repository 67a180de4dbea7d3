/**
 * The contracts between the rooms of Kwaai. Rooms never import each other: each takes the contracts it needs
 * as values, and a composition root (`@kwaai/node`, `@kwaai/browser`, or your own program) hands them over.
 * There is no behaviour here but {@link KwaaiError} and {@link deadlineSignal}; implementations that need no
 * other room stand at `@kwaai/interface/memory`.
 *
 * @packageDocumentation
 */
export { KwaaiError, type KwaaiErrorOptions } from './errors.ts'
export {
  deadlineSignal,
  type BatchOperation,
  type CallOptions,
  type Clock,
  type Did,
  type KeyRange,
  type KeyValueStore,
  type LogLevel,
  type Logger,
  type PeerId,
  type Random,
  type Resolver,
  type Signer,
  type Startable,
  type TraceSpan,
  type Tracer,
  type Verifier
} from './common.ts'
export type {
  ByteStream,
  Channel,
  ConnectionFacts,
  HandleOptions,
  Network,
  OpenOptions,
  PeerEvent,
  ProtocolHandler,
  RequestContext,
  TopicMessage
} from './network.ts'
export type { KeyStore, PutSecretOptions } from './key-store.ts'
export type { Announcement, PutResult, RecordInit, RecordStore, StoredRecord } from './records.ts'
export type {
  AuditSink,
  AuthorizationRequest,
  Authorizer,
  CapabilitySource,
  EvidenceSink,
  Meter,
  MeteredUsage,
  Outcome,
  TrustAssessment,
  TrustTier,
  TrustView
} from './trust.ts'
export type {
  IdentityChallenge,
  IdentityFault,
  IdentityLevel,
  IdentityProof,
  IdentityProvider,
  IdentityRefusal,
  IdentityRequest
} from './identity-provider.ts'
export type {
  BlockBackend,
  BlockRunner,
  BlockStep,
  ByteSource,
  HeadRunner,
  KvHandle,
  KvRows,
  LogitsOptions,
  ModelShape,
  ResidualFormat,
  RowKernel,
  StepFailure
} from './blocks.ts'
export type {
  ChainHop,
  ChatMessage,
  ChatRequest,
  CompletionRequest,
  Embedder,
  EmbedderDescription,
  EmbeddingRequest,
  Embeddings,
  FinishReason,
  GenerationEvent,
  GenerationOptions,
  HopAccount,
  LanguageModel,
  ModelDescription,
  RouteCandidate,
  RouteConstraintName,
  RouteConstraints,
  RouteExplanation,
  TextConstraint,
  TokenLogprobs,
  TokenProbability,
  ToolChoice,
  ToolDefinition,
  Usage
} from './language-model.ts'

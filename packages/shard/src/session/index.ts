/**
 * Sessions over block ranges: a server that runs its blocks for callers it has never seen, and a chain that
 * carries a session through several such servers as one pipeline. They speak `/kwaai/shard/1.0.0`, whose
 * specification is `proto/shard.proto`, over any `Network`.
 *
 * @packageDocumentation
 */
export {
  createBlockServer,
  type BlockServer,
  type BlockServerComponents,
  type BlockServerInit,
  type BlockServerStats,
  type DrainOptions
} from './server.ts'
export { batchedRunner, type BatchedRunnerInit } from './batched-runner.ts'
export { openChain, type ShardChain } from './chain.ts'
export type { ChainComponents, ChainOptions, ChainPlan } from './chain-options.ts'
export type { RecoveryEvent } from './core.ts'
export type { HopStats, PlannedHop } from './hop.ts'
export type { Replacement, ReplacementRequest, SpanPlanner } from './replacement.ts'
export { measureRunner } from './measure.ts'
export {
  decodeFrame,
  encodeFrame,
  type DecodedFrame,
  type FrameBody,
  type FrameInit,
  type FrameLimits
} from './messages.ts'
export {
  createStepLedger,
  type LedgerLimits,
  type LedgerStep,
  type StepLedger,
  type Verdict
} from './ledger.ts'

/**
 * Compliance suites for the contracts of `@kwaai/interface`, and what makes tests deterministic: a clock that
 * stands still, randomness from a seed, an order of events from a seed, and a network that fails on demand.
 *
 * A suite takes the runner's `test` and a factory, and works with any runner.
 *
 * @packageDocumentation
 */
export { assert, assertEqual, assertRejects, assertRejectsWith, type TestFunction } from './assert.ts'
export { authorizerSuite, type AuthorizerFixture, type AuthorizerSuiteFactory } from './authorizer-suite.ts'
export { auditSinkSuite, type AuditSinkFixture, type AuditSinkSuiteFactory } from './audit-sink-suite.ts'
export {
  blockBackendSuite,
  type BlockBackendFixture,
  type BlockBackendSuiteFactory
} from './block-backend-suite/index.ts'
export { languageModelSuite, type LanguageModelSuiteFactory } from './language-model-suite.ts'
export type { LanguageModelFeature } from './language-model-answers.ts'
export { networkSuite, type NetworkSuiteFactory } from './network-suite/index.ts'
export { keyStoreSuite, type KeyStoreSuiteFactory } from './key-store-suite.ts'
export {
  identityProviderSuite,
  type IdentityProviderFixture,
  type IdentityProviderSuiteFactory,
  type SuitePerson
} from './identity-provider-suite.ts'
export { keyValueStoreSuite, type KeyValueStoreSuiteFactory } from './key-value-store-suite.ts'
export {
  recordStoreSuite,
  type RecordStoreFleet,
  type RecordStoreSuiteFactory
} from './record-store-suite.ts'
export { createFakeClock, type FakeClock } from './clock.ts'
export { createSeededRandom } from './random.ts'
export { createSeededScheduler, type SeededScheduler } from './scheduler.ts'
export { createFaults, type ControlledFaults, type FaultSettings } from './faults.ts'
export { createFaultyNetwork, type FrameEvent, type FrameFaults, type FrameVerdict } from './frame-faults.ts'
export { startMemoryNetworks } from './memory-networks.ts'
export { macrotask } from './macrotask.ts'

import type { TestFunction } from '../assert.ts'
import { backendTest, type BlockBackendSuiteFactory } from './harness.ts'
import { loadingTests } from './loading.ts'
import { sessionTests } from './sessions.ts'
import { stepTests } from './steps.ts'

export type { BlockBackendFixture, BlockBackendSuiteFactory } from './harness.ts'

/**
 * What every `BlockBackend` has to do. Where it says `exactReplay: 'any'`, rows have to give equal bits however
 * they are grouped; otherwise only when they are grouped alike.
 */
export function blockBackendSuite(test: TestFunction, factory: BlockBackendSuiteFactory): void {
  const it = backendTest(test, factory)
  loadingTests(it)
  stepTests(it)
  sessionTests(it)
}

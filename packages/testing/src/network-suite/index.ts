import type { TestFunction } from '../assert.ts'
import { channelTests } from './channels.ts'
import { networkTest, type NetworkSuiteFactory } from './harness.ts'
import { peerTests } from './peers.ts'
import { requestTests } from './requests.ts'
import { streamTests } from './streams.ts'

export type { NetworkSuiteFactory } from './harness.ts'

/** What every `Network` has to do. */
export function networkSuite(test: TestFunction, factory: NetworkSuiteFactory): void {
  const it = networkTest(test, factory)
  peerTests(it)
  requestTests(it)
  channelTests(it)
  streamTests(it)
}

import { describe, test } from 'vitest'
import { survivesFrames, survivesOne, survivesStorms, survivesTwo } from './failover-properties.ts'

const runs = Number(globalThis.process?.env['RUNS'] ?? 15)

describe.each(['star', 'push'] as const)('a chain (%s) goes on with the same bits', (topology) => {
  test('when any server is killed at any moment', () => survivesOne(topology, 'kill', runs))
  test('when any server hangs at any moment', () => survivesOne(topology, 'hang', runs))
  test('when two are lost, also while the first is replaced', () => survivesTwo(topology, runs))
  test('when frames are lost, come twice or come late', () => survivesFrames(topology, runs))
  test('in a storm', () => survivesStorms(topology, runs))
})

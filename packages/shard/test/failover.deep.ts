import { describe, test } from 'vitest'
import { survivesFrames, survivesOne, survivesStorms, survivesTwo } from './failover-properties.ts'

const runs = 150

describe.each(['star', 'push'] as const)(
  'a chain (%s) goes on with the same bits, many times',
  (topology) => {
    test('when any server is killed at any moment', () => survivesOne(topology, 'kill', runs, 100))
    test('when any server hangs at any moment', () => survivesOne(topology, 'hang', runs, 200))
    test('when two are lost, also while the first is replaced', () => survivesTwo(topology, runs, 300))
    test('when frames are lost, come twice or come late', () => survivesFrames(topology, runs, 400))
    test('in a storm', () => survivesStorms(topology, runs, 500))
  }
)

import { beforeAll, describe, expect, test } from 'vitest'
import { createSeededRandom } from '@kwaai/testing'
import { loadSimModel, type SimModel } from './model.ts'
import { storyText } from './report.ts'
import { runStory } from './run.ts'
import { faultsAt, faultsOf, smallStory, type OneFault } from './sweep.ts'

let model: SimModel
beforeAll(async () => {
  model = await loadSimModel()
})

/** Runs the small story once for each set of faults; the stories of the first ones that fail are the message. */
async function expectAllToHold(
  sets: readonly (readonly OneFault[])[],
  topology: 'push' | 'star'
): Promise<void> {
  const failures: string[] = []
  let came = 0
  for (const [seed, faults] of sets.entries()) {
    const run = await runStory(smallStory(seed, faults, topology), model)
    came += run.fired.size
    if (run.violations.length > 0) failures.push(storyText(run, {}, false))
    if (failures.length === 3) break
  }
  expect(failures, failures.join('\n\n')).toEqual([])
  expect(came).toBeGreaterThan(sets.length / 2)
}

const firsts = ['server-1a', 'server-2a', 'server-3a']
const upTo = (most: number, by: number): number[] =>
  Array.from({ length: Math.floor(most / by) }, (_, index) => 1 + index * by)

describe.each(['push', 'star'] as const)('one fault, anywhere, where servers are to %s', (topology) => {
  test.each(firsts)('at every fifth await: %s', async (peer) => {
    await expectAllToHold(
      upTo(150, 5).flatMap((at) => faultsAt(peer, at).map((fault) => [fault])),
      topology
    )
  })

  test.each(firsts)('at every second frame and call: %s', async (peer) => {
    await expectAllToHold(
      upTo(36, 2).flatMap((nth) => faultsOf(peer, nth).map((fault) => [fault])),
      topology
    )
  })
})

test('two faults of two servers', async () => {
  const random = createSeededRandom('pairs')
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T
  const one = (peer: string): OneFault => {
    const moment = 1 + Math.floor(random.next() * 100)
    return pick([...faultsAt(peer, moment), ...faultsOf(peer, 1 + (moment % 34))])
  }
  const sets = Array.from({ length: 400 }, () => {
    const spared = pick(firsts)
    return firsts.filter((peer) => peer !== spared).map(one)
  })
  await expectAllToHold(sets, 'push')
})

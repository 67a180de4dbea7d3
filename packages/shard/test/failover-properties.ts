// Whatever is done to the servers of a chain and to the frames between them, the bits are those of an undisturbed
// run, in time, and nothing stays open. Run a few times by the spec, many times in the deep tier.
import type { PeerId } from '@kwaai/interface'
import { createSeededRandom, type FrameEvent, type FrameVerdict } from '@kwaai/testing'
import fc from 'fast-check'
import { expect } from 'vitest'
import { decodeFrame } from '../src/session/index.ts'
import { createFleet, hopsOf, play, storyOf, truthOf, type Fleet, cuts } from './failover-kit.ts'
import { maxFrameBytes } from './session-kit.ts'

export type Topology = 'star' | 'push'

/** What is done to a fleet once its chain is open. */
type Disturb = (fleet: Fleet, peers: readonly PeerId[]) => void

const spans: [number, number][] = [
  [0, 2],
  [2, 3],
  [3, 6]
]
/** Arrivals of a story without faults, about. */
const arrivals = { star: 90, push: 55 }
const seeds = fc.integer({ min: 0, max: 1e6 })
const nat = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max })

/** Frames that carry rows. */
export function carriesRows({ bytes }: FrameEvent): boolean {
  return ['step', 'result'].includes(decodeFrame(bytes, { maxFrameBytes }).body.case)
}

/** Plays a story while something goes wrong. @returns how many recoveries there were. */
async function survive(seed: number, topology: Topology, twins: number, disturb: Disturb): Promise<number> {
  const fleet = await createFleet(seed, Array.from({ length: twins }, () => spans).flat())
  try {
    const story = storyOf(seed)
    const chain = await fleet.until(fleet.open(hopsOf(fleet, cuts), { topology }))
    disturb(
      fleet,
      chain.chain.map(({ peer }) => peer)
    )
    // The chain itself ends with an error when a step is later than its deadline.
    expect(await fleet.until(play(chain, story), 600_000)).toEqual(await truthOf(story))
    fleet.onFrame = () => 'pass'
    await fleet.until(chain[Symbol.asyncDispose]())
    await fleet.expectClean()
    return fleet.events.length
  } finally {
    await fleet.stop()
  }
}

/** Any server is killed at any moment, or hangs from then on. */
export async function survivesOne(
  topology: Topology,
  how: 'kill' | 'hang',
  runs: number,
  seed = 0
): Promise<void> {
  let recovered = 0
  await fc.assert(
    fc.asyncProperty(seeds, nat(arrivals[topology]), nat(2), async (own, turn, victim) => {
      recovered += await survive(own, topology, 2, (fleet, peers) => {
        fleet.atTurn.set(fleet.turns + turn, () => fleet[how](peers[victim] as PeerId))
      })
    }),
    { numRuns: runs, seed: seed + 1 }
  )
  expect(recovered).toBeGreaterThan(runs / 2)
}

/** Two servers of nine are killed or hang, perhaps the second one while the first is replaced. */
export async function survivesTwo(topology: Topology, runs: number, seed = 0): Promise<void> {
  let recovered = 0
  const how = fc.constantFrom('kill' as const, 'hang' as const)
  const victims = fc.tuple(nat(8), nat(8), how, how)
  await fc.assert(
    fc.asyncProperty(seeds, nat(arrivals[topology]), nat(30), victims, async (own, turn, later, two) => {
      const [first, second, howFirst, howSecond] = two
      recovered += await survive(own, topology, 3, (fleet) => {
        const { turns, members } = fleet
        fleet.atTurn.set(turns + turn, () => fleet[howFirst](members[first]?.peer as PeerId))
        fleet.atTurn.set(turns + turn + 1 + later, () => fleet[howSecond](members[second]?.peer as PeerId))
      })
    }),
    { numRuns: runs, seed: seed + 2 }
  )
  expect(recovered).toBeGreaterThan(runs / 4)
}

/** Frames with rows are lost, come twice or come late. */
export async function survivesFrames(topology: Topology, runs: number, seed = 0): Promise<void> {
  let faults = 0
  await fc.assert(
    fc.asyncProperty(seeds, async (own) => {
      await survive(own, topology, 2, (fleet) => {
        const random = createSeededRandom(`frames ${own}`)
        fleet.onFrame = async (_, frame, signal): Promise<FrameVerdict> => {
          if (!carriesRows(frame)) return 'pass'
          const dice = random.next()
          if (dice < 0.2) faults++
          if (dice < 0.05) return 'drop'
          if (dice < 0.1) return 'duplicate'
          if (dice < 0.2) await fleet.clock.sleep(3_000 * random.next(), { signal })
          return 'pass'
        }
      })
    }),
    { numRuns: runs, seed: seed + 3 }
  )
  expect(faults).toBeGreaterThan(3 * runs)
}

/** All of it at once, and links between servers that are cut and mended. */
export async function survivesStorms(topology: Topology, runs: number, seed = 0): Promise<void> {
  let recovered = 0
  await fc.assert(
    fc.asyncProperty(seeds, async (own) => {
      recovered += await survive(own, topology, 4, (fleet) => {
        const random = createSeededRandom(`storm ${own}`)
        const pick = (): PeerId => fleet.members[Math.floor(12 * random.next())]?.peer as PeerId
        const any = (): number => fleet.turns + Math.floor(1.5 * arrivals[topology] * random.next())
        // Never all four of a span.
        fleet.atTurn.set(any(), () => fleet.kill(pick()))
        fleet.atTurn.set(any(), () => fleet.hang(pick()))
        fleet.atTurn.set(any(), () => fleet.hub.partition([pick()], [pick()]))
        fleet.atTurn.set(any(), () => fleet.hub.partition([pick(), pick()], [pick()]))
        fleet.atTurn.set(any(), () => fleet.hub.heal())
        fleet.onFrame = async (_, frame, signal): Promise<FrameVerdict> => {
          if (!carriesRows(frame)) return 'pass'
          const dice = random.next()
          if (dice < 0.02) return 'drop'
          if (dice < 0.04) return 'duplicate'
          if (dice < 0.05) return 'reset'
          if (dice < 0.1) await fleet.clock.sleep(2_000 * random.next(), { signal })
          return 'pass'
        }
      })
    }),
    { numRuns: runs, seed: seed + 4 }
  )
  expect(recovered).toBeGreaterThan(runs / 2)
}

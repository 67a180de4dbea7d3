import type { BlockRunner, Network, PeerId } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { createMemoryHub } from '@kwaai/interface/memory'
import {
  createFakeClock,
  createSeededRandom,
  createSeededScheduler,
  startMemoryNetworks
} from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createBlockServer, openChain, type BlockServer } from '../src/session/index.ts'
import { alone, createFakeRunner, hiddenSize, modelHash, numericsClass, rowsOf } from './session-kit.ts'

interface Stage {
  hub: ReturnType<typeof createMemoryHub>
  clients: Network[]
  servers: BlockServer[]
  hosts: Network[]
  runners: BlockRunner[]
  /** Lets everything happen, one arrival at a time, in an order the seed decides. */
  run(): Promise<number>
  now: { turns: number; atTurn: Map<number, () => void> }
  clock: ReturnType<typeof createFakeClock>
}

const cuts = [0, 2, 3, 6]

async function stageOf(seed: number, clientCount: number): Promise<Stage> {
  const clock = createFakeClock()
  const scheduler = createSeededScheduler(createSeededRandom(seed))
  const now = { turns: 0, atTurn: new Map<number, () => void>() }
  const hub = createMemoryHub({
    clock,
    faults: {
      transfer: async (_, signal) => {
        await scheduler.turn({ signal })
        now.atTurn.get(now.turns++)?.()
        return 'pass'
      }
    }
  })
  const networks = await startMemoryNetworks(clientCount + cuts.length - 1, hub)
  const hosts = networks.slice(clientCount)
  const runners = hosts.map((_, index) =>
    createFakeRunner({ from: cuts[index] as number, to: cuts[index + 1] as number, blockCount: 6 })
  )
  const servers = hosts.map((network, index) =>
    createBlockServer(
      { modelHash, numericsClass, measure: false },
      { network, runner: runners[index] as BlockRunner, clock, random: createSeededRandom(index) }
    )
  )
  for (const server of servers) await server.start()
  return {
    hub,
    clients: networks.slice(0, clientCount),
    servers,
    hosts,
    runners,
    now,
    clock,
    run: () => scheduler.run()
  }
}

interface Story {
  steps: { past: number; hidden: Float32Array; kernel: 'tile' | 'vec' }[]
}

/** A prompt in pieces, then single rows, with a roll-back somewhere. */
function storyOf(seed: number): Story {
  const random = createSeededRandom(`story ${seed}`)
  const steps: Story['steps'] = []
  let length = 0
  for (let index = 0; index < 9; index++) {
    const rows = index < 3 ? 1 + Math.floor(4 * random.next()) : 1
    const past = index === 6 ? Math.floor(length * random.next()) : length
    steps.push({ past, hidden: rowsOf(rows, 100 * seed + index), kernel: index < 3 ? 'tile' : 'vec' })
    length = past + rows
  }
  return { steps }
}

type Outcome = Float32Array | string

async function generate(stage: Stage, client: Network, seed: number): Promise<Outcome[]> {
  const plan = {
    modelHash,
    blockCount: 6,
    hops: stage.hosts.map(({ peerId }, index) => ({
      peer: peerId,
      from: cuts[index] as number,
      to: cuts[index + 1] as number
    }))
  }
  const { steps } = storyOf(seed)
  const failed = (error: unknown): string =>
    KwaaiError.is(error) ? error.code : `not typed: ${String(error)}`
  try {
    await using chain = await openChain(
      plan,
      { network: client, clock: stage.clock, random: createSeededRandom(`keys ${seed}`) },
      {
        maxTokens: 64,
        hiddenSize,
        maxPendingSteps: 1 + (seed % 4),
        topology: seed % 2 === 0 ? 'push' : 'star'
      }
    )
    return await Promise.all(steps.map((step) => chain.forward({ ...step, result: 'all' }).catch(failed)))
  } catch (error) {
    return steps.map(() => failed(error))
  }
}

describe('several sessions at once, in any order of arrivals', () => {
  test('each give the bits they give alone', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
        const stage = await stageOf(seed, 3)
        const all = Promise.all(stage.clients.map((client, index) => generate(stage, client, seed + index)))
        await stage.run()
        for (const [index, results] of (await all).entries()) {
          expect(results).toEqual(await alone(6, storyOf(seed + index).steps))
        }
        await stage.run()
        expect(stage.servers.map((server) => server.stats().sessions)).toEqual([0, 0, 0])
      }),
      { numRuns: 25, seed: 1 }
    )
  })

  test('give the right bits or a typed error when a server is killed at any moment', async () => {
    let cut = 0
    let whole = 0
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 1e6 }),
        fc.integer({ min: 0, max: 150 }),
        fc.integer({ min: 0, max: 2 }),
        async (seed, turn, victim) => {
          const stage = await stageOf(seed, 2)
          const peer = stage.hosts[victim]?.peerId as PeerId
          stage.now.atTurn.set(turn, () => stage.hub.kill(peer))
          const all = Promise.all(stage.clients.map((client, index) => generate(stage, client, seed + index)))
          await stage.run()
          for (const [index, results] of (await all).entries()) {
            const expected = await alone(6, storyOf(seed + index).steps)
            // Once a step failed, none after it may have a result.
            const good = results.findIndex((result) => typeof result === 'string')
            const until = good < 0 ? results.length : good
            expect(results.slice(0, until)).toEqual(expected.slice(0, until))
            for (const failure of results.slice(until)) expect(failure).toBe('ERR_SHARD_HOP_FAILED')
            if (until === results.length) whole++
            else cut++
          }
          await stage.run()
          const alive = stage.servers.filter((_, index) => index !== victim)
          expect(alive.map((server) => server.stats().sessions)).toEqual([0, 0])
        }
      ),
      { numRuns: 40, seed: 2 }
    )
    // The property was tested on both kinds.
    expect(Math.min(cut, whole)).toBeGreaterThan(5)
  })
})

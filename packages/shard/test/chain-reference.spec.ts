import type { BlockRunner, ByteSource, Network } from '@kwaai/interface'
import { createMemoryHub, type MemoryHub } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, startMemoryNetworks } from '@kwaai/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { bytesSource } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import {
  createBlockServer,
  openChain,
  type ChainOptions,
  type PlannedHop,
  type ShardChain,
  type SpanPlanner
} from '../src/session/index.ts'
import { toyModel } from './toy-model.ts'

const modelHash = 'cd'.repeat(32)
const blockCount = 4
const ids = Array.from({ length: 75 }, (_, index) => (index * 7) % 40)

let model: ByteSource
let prompt: Float32Array
let rows: Float32Array[]
let expected: Float32Array[]
let hiddenSize: number

interface Step {
  past: number
  hidden: Float32Array
  kernel: 'tile' | 'vec'
}

/** The prompt in steps of 64 and 11 `tile` rows, then five `vec` rows: what a generation does. */
function steps(): Step[] {
  const cut = 64 * hiddenSize
  return [
    { past: 0, hidden: prompt.subarray(0, cut), kernel: 'tile' },
    { past: 64, hidden: prompt.subarray(cut), kernel: 'tile' },
    ...rows.map((hidden, index) => ({ past: ids.length + index, hidden, kernel: 'vec' as const }))
  ]
}

const generate = (forward: (step: Step) => Promise<Float32Array>): Promise<Float32Array[]> =>
  Promise.all(steps().map(forward))

beforeAll(async () => {
  model = bytesSource(toyModel({ blockCount }))
  const backend = createReferenceBackend()
  const head = await backend.loadHead(model)
  hiddenSize = head.shape.hiddenSize
  prompt = await head.embed(ids)
  rows = await Promise.all([1, 2, 3, 4, 5].map((id) => head.embed([id])))
  const runner = await backend.loadBlocks(model, { from: 0, to: blockCount })
  const session = await runner.open({ maxTokens: 100 })
  expected = await generate(async (step) => (await runner.forward([{ session, ...step }]))[0] as Float32Array)
})

/** Servers of these ranges on one hub; ranges may come twice. */
async function serve(ranges: readonly (readonly [number, number])[]): Promise<{
  hub: MemoryHub
  hops: Required<PlannedHop>[]
  open(hops: readonly PlannedHop[], options?: Partial<ChainOptions>): Promise<ShardChain>
}> {
  const clock = createFakeClock()
  const backend = createReferenceBackend()
  const numericsClass = await backend.numericsClass()
  const hub = createMemoryHub({ clock })
  const [client, ...hosts] = await startMemoryNetworks(1 + ranges.length, hub)
  const hops: Required<PlannedHop>[] = []
  for (const [index, network] of hosts.entries()) {
    const [from, to] = ranges[index] as readonly [number, number]
    const runner: BlockRunner = await backend.loadBlocks(model, { from, to })
    const server = createBlockServer(
      { modelHash, numericsClass },
      { network, runner, clock, random: createSeededRandom(1) }
    )
    await server.start()
    hops.push({ peer: network.peerId, from, to, numericsClass })
  }
  const planner: SpanPlanner = {
    failed: () => undefined,
    replace: async ({ from, to, excluded }) => {
      const hop = hops.find((one) => one.from === from && one.to === to && !excluded.has(one.peer))
      return hop === undefined ? { problem: 'there is none' } : { hops: [hop] }
    }
  }
  return {
    hub,
    hops,
    open: (chosen, options = {}) =>
      openChain(
        { modelHash, blockCount, hops: chosen },
        { network: client as Network, clock, random: createSeededRandom(2), planner },
        { maxTokens: 100, hiddenSize, ...options }
      )
  }
}

describe('the reference backend in a chain', () => {
  test.each([[[0, 4]], [[0, 1, 4]], [[0, 1, 3, 4]], [[0, 1, 2, 3, 4]]])(
    'cut at %j gives the bits of one runner',
    async (cuts) => {
      const { hops, open } = await serve(cuts.slice(1).map((to, index) => [cuts[index] as number, to]))
      await using chain = await open(hops)
      expect(await generate((step) => chain.forward({ ...step, result: 'all' }))).toEqual(expected)
    }
  )

  test.each([
    ['star', 0],
    ['star', 1],
    ['push', 0],
    ['push', 1],
    ['push', 2]
  ] as const)(
    '(%s) gives them when server %i is killed, each row with its own kernel',
    async (topology, victim) => {
      const ranges = [
        [0, 1],
        [1, 3],
        [3, 4]
      ] as const
      const { hub, hops, open } = await serve([...ranges, ...ranges])
      await using chain = await open(hops.slice(0, 3), { topology })
      const results: Float32Array[] = []
      // After the prompt of tile rows and two vec rows: the history has both.
      for (const step of steps()) {
        if (results.length === 4) hub.kill(hops[victim]?.peer as string)
        results.push(await chain.forward({ ...step, result: 'all' }))
      }
      expect(results).toEqual(expected)
      expect(chain.chain[victim]?.peer).toBe(hops[victim + 3]?.peer)
    }
  )
})

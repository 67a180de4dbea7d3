import type { BlockRunner, ByteSource } from '@kwaai/interface'
import { createMemoryHub } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, startMemoryNetworks } from '@kwaai/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { bytesSource } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import { createBlockServer, openChain } from '../src/session/index.ts'
import { toyModel } from './toy-model.ts'

const modelHash = 'cd'.repeat(32)
const blockCount = 4
const ids = Array.from({ length: 75 }, (_, index) => (index * 7) % 40)

let model: ByteSource
let prompt: Float32Array
let rows: Float32Array[]
let expected: Float32Array[]
let hiddenSize: number

/** The prompt in steps of 64 and 11 `tile` rows, then five `vec` rows: what a generation does. */
async function generate(
  forward: (step: { past: number; hidden: Float32Array; kernel: 'tile' | 'vec' }) => Promise<Float32Array>
): Promise<Float32Array[]> {
  const cut = 64 * hiddenSize
  return Promise.all([
    forward({ past: 0, hidden: prompt.subarray(0, cut), kernel: 'tile' }),
    forward({ past: 64, hidden: prompt.subarray(cut), kernel: 'tile' }),
    ...rows.map((hidden, index) => forward({ past: ids.length + index, hidden, kernel: 'vec' as const }))
  ])
}

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

describe('the reference backend in a chain', () => {
  test.each([[[0, 4]], [[0, 1, 4]], [[0, 1, 3, 4]], [[0, 1, 2, 3, 4]]])(
    'cut at %j gives the bits of one runner',
    async (cuts) => {
      const clock = createFakeClock()
      const backend = createReferenceBackend()
      const numericsClass = await backend.numericsClass()
      const [client, ...hosts] = await startMemoryNetworks(cuts.length, createMemoryHub({ clock }))
      const hops: { peer: string; from: number; to: number; numericsClass: string }[] = []
      for (const [index, network] of hosts.entries()) {
        const from = cuts[index] as number
        const to = cuts[index + 1] as number
        const runner: BlockRunner = await backend.loadBlocks(model, { from, to })
        const server = createBlockServer(
          { modelHash, numericsClass },
          { network, runner, clock, random: createSeededRandom(1) }
        )
        await server.start()
        hops.push({ peer: network.peerId, from, to, numericsClass })
      }
      await using chain = await openChain(
        { modelHash, blockCount, hops },
        { network: client!, clock, random: createSeededRandom(2) },
        { maxTokens: 100, hiddenSize }
      )
      expect(await generate((step) => chain.forward({ ...step, result: 'all' }))).toEqual(expected)
    }
  )
})

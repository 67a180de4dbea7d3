import { afterAll, beforeAll, expect, test } from 'vitest'
import { bits } from '../../shard/test/ggml-kit.ts'
import { prompts, shortList } from '../../shard/test/ggml-prompts.ts'
import { createOracle, type Oracle } from '../../shard/test/oracle/index.ts'
import { startCluster, type Cluster } from './cluster.ts'
import { greedy } from './greedy.ts'

// The seven prompts that `npm test` leaves out, and all of them with two threads a server.
const generated = 64
const path = process.env['KWAAI_MODEL_PATH'] as string
let oracle: Oracle
beforeAll(async () => {
  oracle = await createOracle()
})
afterAll(() => oracle?.[Symbol.asyncDispose]())

for (const threads of [1, 2]) {
  test(`three processes over libp2p, ${threads} thread(s): all prompts give the bits of llama.cpp`, async () => {
    await using cluster: Cluster = await startCluster(path, undefined, { threads })
    const head = await cluster.client.head()
    for (const [index, prompt] of (await prompts(oracle)).entries()) {
      if (threads === 1 && shortList.includes(index)) continue
      const expected = await oracle.generate(prompt, generated)
      const run = await greedy(cluster.client.blocks, head, prompt, generated)
      expect(bits(run.first).equals(bits(expected.first)), `prompt ${index}, first logits`).toBe(true)
      expect(run.tokens, `prompt ${index}`).toEqual(expected.tokens)
      expect(bits(run.last).equals(bits(expected.last)), `prompt ${index}, last logits`).toBe(true)
    }
  })
}

test('five processes and other cuts give the same bits', async () => {
  const prompt = (await prompts(oracle))[shortList[1] as number] as number[]
  const expected = await oracle.generate(prompt, generated)
  await using cluster: Cluster = await startCluster(path, ['0-1', '1-4', '4-15', '15-29', '29-30'])
  for (const stepRows of [64, 63, 1_000, 1]) {
    const run = await greedy(cluster.client.blocks, await cluster.client.head(), prompt, generated, stepRows)
    expect(bits(run.first).equals(bits(expected.first)), `steps of ${stepRows}`).toBe(true)
    expect(run.tokens, `steps of ${stepRows}`).toEqual(expected.tokens)
  }
})

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { bits, greedy } from './ggml-kit.ts'
import { createOracle } from './oracle/index.ts'
import { toyModel, type ToyModelInit } from './toy-model.ts'

// llama.cpp computes logits for one row, after a prompt and after each token. For heads of type F32, F16 and
// BF16 that is another kernel than for several rows, so ours has to be given one row too.
const heads: readonly (readonly [name: string, toy: ToyModelInit])[] = [
  ['Q8_0, tied', { type: 'Q4_1', headType: 'Q8_0' }],
  ['F16, tied', { type: 'Q4_0', headType: 'F16' }],
  ['BF16, of its own', { type: 'Q8_0', headType: 'BF16', tiedHead: false }],
  ['F32, of its own', { type: 'Q5_1', headType: 'F32', tiedHead: false }]
]

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kwaai-heads-'))
})
afterAll(() => rm(dir, { recursive: true }))

it.each(heads)('gives the bits of llama.cpp with a head of type %s', async (_, toy) => {
  const model = toyModel(toy)
  const path = join(dir, 'toy.gguf')
  await writeFile(path, model)
  await using oracle = await createOracle({ path })
  await using backend = createGgmlBackend()
  const head = await backend.loadHead(bytesSource(model))
  const blocks = await backend.loadBlocks(bytesSource(model), { from: 0, to: 3 })
  for (const length of [1, 20, 80]) {
    const prompt = Array.from({ length }, (_, i) => 3 + ((i * 37) % 250))
    const expected = await oracle.generate(prompt, 8)
    const run = await greedy(head, [blocks], prompt, 8)
    expect(bits(run.first).equals(bits(expected.first)), `first of ${length}`).toBe(true)
    expect(run.tokens).toEqual(expected.tokens)
    expect(bits(run.last).equals(bits(expected.last)), `last of ${length}`).toBe(true)
  }
})

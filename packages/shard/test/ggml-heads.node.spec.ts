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

it.each(heads)(
  'gives rows that come together the bits each has alone, with a head of type %s',
  async (_, toy) => {
    await using backend = createGgmlBackend()
    const head = await backend.loadHead(bytesSource(toyModel(toy)))
    const { hiddenSize, vocabularySize } = head.shape
    const rows = Array.from({ length: 24 }, (_, row) =>
      Float32Array.from({ length: hiddenSize }, (_, i) => 3 * Math.sin(row * 101 + i * 1.7))
    )
    const alone: Buffer[] = []
    for (const row of rows) alone.push(bits(await head.logits(row)))
    for (const count of [2, 5, 7, 24]) {
      // A row is copied at once: the caller may use its memory again.
      const offered = rows.slice(0, count).map((row) => row.slice())
      const results = offered.map((row) => head.logits(row, { into: new Float32Array(vocabularySize) }))
      for (const row of offered) row.fill(0)
      for (const [i, result] of (await Promise.all(results)).entries())
        expect(bits(result).equals(alone[i] as Buffer), `row ${i} of ${count}`).toBe(true)
    }
    const ids = [[1], [2, 3], [4], [5, 6, 7], [200]]
    const together = await Promise.all(ids.map((some) => head.embed(some)))
    for (const [i, some] of ids.entries()) {
      const each = await Promise.all(some.map((id) => head.embed([id])))
      expect(bits(together[i] as Float32Array)).toEqual(Buffer.concat(each.map(bits)))
    }
  }
)

it('does not write to the memory of a caller that gave up', async () => {
  await using backend = createGgmlBackend()
  const head = await backend.loadHead(bytesSource(toyModel({ type: 'Q8_0' })))
  const { hiddenSize, vocabularySize } = head.shape
  const row = new Float32Array(hiddenSize).fill(1)
  const controllers = Array.from({ length: 6 }, () => new AbortController())
  const memory = controllers.map(() => new Float32Array(vocabularySize).fill(7))
  const calls = controllers.map(({ signal }, i) =>
    head.logits(row, { signal, into: memory[i] as Float32Array }).then(
      () => 'done',
      (error: Error) => error.message
    )
  )
  controllers.forEach((controller, i) => i % 2 === 0 && controller.abort(new Error('gave up')))
  expect(await Promise.all(calls)).toEqual(['gave up', 'done', 'gave up', 'done', 'gave up', 'done'])
  await head.logits(row)
  for (const [i, values] of memory.entries()) expect(new Set(values).has(7)).toBe(i % 2 === 0)
})

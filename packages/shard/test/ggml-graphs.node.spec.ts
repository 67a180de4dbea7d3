import type { BlockStep } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'
import { expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { bits } from './ggml-kit.ts'
import { manyKvHeads, toyModel } from './toy-model.ts'

// Graphs are kept by shape and pointed at the caches of whoever comes: sessions of many lengths come and go here,
// in groups that change, and each must get what it gets alone.
const models = [
  ['heads that share keys', toyModel({ type: 'Q4_0' })],
  ['a key head for each head', toyModel({ ...manyKvHeads, type: 'Q4_0' })]
] as const

interface Lived {
  handle: number
  maxTokens: number
  length: number
  steps: { step: BlockStep; result: Buffer }[]
}

it.each(models)('gives each session its own bits, whoever shared its graphs: %s', async (name, bytes) => {
  const random = createSeededRandom(name)
  const below = (limit: number): number => Math.floor(random.next() * limit)
  await using backend = createGgmlBackend()
  const runner = await backend.loadBlocks(bytesSource(bytes), { from: 0, to: 2 })
  const width = runner.shape.hiddenSize
  const rows = (count: number): Float32Array =>
    Float32Array.from({ length: count * width }, () => random.next() - 0.5)

  const open: Lived[] = []
  const all: Lived[] = []
  for (let turn = 0; turn < 120; turn++) {
    if (open.length < 5) {
      const maxTokens = [8, 200, 256, 257, 600, 1000][below(6)] as number
      const session = { handle: await runner.open({ maxTokens }), maxTokens, length: 0, steps: [] }
      open.push(session)
      all.push(session)
    }
    const group = open.filter(() => below(3) > 0)
    const steps = group.map(({ handle, maxTokens, length }): BlockStep => {
      const past = below(8) === 0 ? below(length + 1) : length
      const count = below(3) > 0 ? 1 : 1 + below(90)
      const kernel = below(4) === 0 ? 'tile' : 'vec'
      const fits = Math.min(count, maxTokens - past)
      return { session: handle, past: fits === 0 ? 0 : past, kernel, hidden: rows(Math.max(1, fits)) }
    })
    const results = await runner.forward(steps)
    for (const [i, session] of group.entries()) {
      const step = steps[i] as BlockStep
      session.length = step.past + step.hidden.length / width
      session.steps.push({ step, result: bits(results[i] as Float32Array) })
    }
    if (below(12) === 0) await runner.close(open.splice(below(open.length), 1)[0]?.handle as number)
  }

  expect(all.length).toBeGreaterThan(8)
  for (const { maxTokens, steps } of all) {
    const session = await runner.open({ maxTokens })
    for (const [i, { step, result }] of steps.entries()) {
      const [alone] = await runner.forward([{ ...step, session }])
      expect(bits(alone as Float32Array).equals(result), `step ${i}`).toBe(true)
    }
    await runner.close(session)
  }
})

import type { BlockBackend } from '@kwaai/interface'
import { blockBackendSuite, createSeededRandom } from '@kwaai/testing'
import { describe, expect, it } from 'vitest'
import { createGgmlBackend, type GgmlBackendInit } from '../src/ggml/index.ts'
import { bytesSource, llamaConfig, readGguf } from '../src/gguf/index.ts'
import { bits } from './ggml-kit.ts'
import { manyKvHeads, oneKvHead, toyModel, type ToyModelInit } from './toy-model.ts'

// Shapes for which a single row takes another way through attention, and types for which it takes another
// way through products.
const models: readonly [name: string, model: ToyModelInit][] = [
  ['as many kv heads as heads', { ...manyKvHeads, type: 'Q4_0' }],
  ['64 heads on one', { ...oneKvHead, type: 'Q8_0' }],
  ['F32 weights', { type: 'F32' }],
  ['F16 weights', { type: 'F16' }],
  ['BF16 weights', { type: 'BF16' }],
  ['F16 weights and as many kv heads as heads', { ...manyKvHeads, type: 'F16' }],
  ['factors for its rope frequencies', { type: 'Q4_1', ropeFactors: [1, 1, 2, 2, 4, 4, 8, 8] }]
]

const inits: readonly [name: string, init: GgmlBackendInit][] = [
  ['one thread', { threads: 1 }],
  ['two threads', { threads: 2 }]
]

describe.each(models)('a model with %s', (_, toy) => {
  const model = bytesSource(toyModel(toy))
  describe.each(inits)('with %s', (_, init) => {
    blockBackendSuite(it, {
      create: async () => ({
        backend: createGgmlBackend(init),
        model,
        shape: llamaConfig(await readGguf(model))
      })
    })
  })

  it('gives the same bits with one thread and with two', async () => {
    const random = createSeededRandom('threads')
    const x = Float32Array.from({ length: 620 * 64 }, () => random.next() - 0.5)
    const run = async (backend: BlockBackend): Promise<Buffer[]> => {
      const blockCount = llamaConfig(await readGguf(model)).blockCount
      const runner = await backend.loadBlocks(model, { from: 0, to: blockCount })
      const results: Buffer[] = []
      for (const kernel of ['tile', 'vec'] as const) {
        const session = await runner.open({ maxTokens: 620 })
        const sizes = [600, ...Array.from({ length: 20 }, () => 1)]
        let past = 0
        for (const rows of sizes) {
          const hidden = x.subarray(past * 64, (past + rows) * 64)
          const [result] = await runner.forward([{ session, past, kernel, hidden }])
          results.push(bits(result as Float32Array))
          past += rows
        }
      }
      await backend[Symbol.asyncDispose]()
      return results
    }
    const one = await run(createGgmlBackend({ threads: 1 }))
    const two = await run(createGgmlBackend({ threads: 2 }))
    two.forEach((result, i) => expect(result.equals(one[i] as Buffer), `step ${i}`).toBe(true))
  })
})

describe('with a cache in f32', () => {
  const model = bytesSource(toyModel({ type: 'F32' }))
  blockBackendSuite(it, {
    create: async () => ({
      backend: createGgmlBackend({ kvFormat: 'f32' }),
      model,
      shape: llamaConfig(await readGguf(model))
    })
  })
})

/** Instruction sets every x64 processor of the last ten years has. */
const variants = process.arch === 'x64' ? ['x64', 'haswell'] : []

describe.each(variants)('with the library for %s', (variant) => {
  const model = bytesSource(toyModel({ type: 'Q4_0' }))
  blockBackendSuite(it, {
    create: async () => ({
      backend: createGgmlBackend({ variant }),
      model,
      shape: llamaConfig(await readGguf(model))
    })
  })
  it('says so in its class', async () => {
    await using backend = createGgmlBackend({ variant })
    expect(await backend.numericsClass()).toContain(`;cpu=${variant};`)
  })
})

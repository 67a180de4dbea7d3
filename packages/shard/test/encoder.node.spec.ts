import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { OnnxEmbedder, OnnxEmbedderComponents } from '../src/encoder/index.ts'
import { fileSource } from '../src/gguf/index.ts'
import {
  expectGoldenTokens,
  expectGoldenVectors,
  expectSameAlone,
  goldenTexts,
  longText,
  openMiniLm
} from './encoder-golden.ts'
import { cosine, refused } from './encoder-kit.ts'

// Loading and running the model takes a second where the cores are free.
vi.setConfig({ testTimeout: 90_000 })

const folder = process.env['KWAAI_EMBEDDER_PATH'] ?? ''
const json = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(folder, name), 'utf8'))

let files: OnnxEmbedderComponents
let embedder: OnnxEmbedder
const source = fileSource(join(folder, 'model.safetensors'))

beforeAll(async () => {
  files = {
    weights: await source,
    config: await json('config.json'),
    tokenizer: await json('tokenizer.json'),
    tokenizerConfig: await json('tokenizer_config.json')
  }
  embedder = await openMiniLm(files, { created: 5 })
})
afterAll(async () => {
  await embedder[Symbol.asyncDispose]()
  await (await source).close()
})

test('the default model says what its vectors depend on', async () => {
  expect(await embedder.describe()).toEqual({
    id: 'all-minilm-l6-v2-256-f32',
    created: 5,
    ownedBy: 'kwaai',
    dimensions: 384,
    maxTokens: 256
  })
})

test('tokens are those of the Rust tokenizer', () => expectGoldenTokens(files))

test('vectors are the golden ones, alone and in a batch: f32', async () => {
  await expectSameAlone(embedder, await expectGoldenVectors(embedder))
})

test('vectors are the golden ones, with half of the memory: f16', async () => {
  await using half = await openMiniLm(files, { format: 'f16' })
  expect(half.description.id).toBe('all-minilm-l6-v2-256-f16')
  await expectGoldenVectors(half)
})

test('near texts have near vectors', async () => {
  const { vectors } = await embedder.embed({
    input: ['a cat on a mat', 'a feline on a rug', 'quarterly tax return']
  })
  const [cat, feline, tax] = vectors as [Float32Array, Float32Array, Float32Array]
  expect(cosine(cat, feline)).toBeGreaterThan(0.5)
  expect(cosine(cat, tax)).toBeLessThan(0.2)
})

describe('a text over the limit', () => {
  test('is refused with its place and its count, and nothing is cut', async () => {
    const error = await refused(
      embedder.embed({ input: ['short', longText.text] }),
      'ERR_MODEL_CONTEXT_EXCEEDED'
    )
    expect(error.details).toEqual({ promptTokens: 490, contextLength: 256, index: 1 })
    const one = 'word '.repeat(255)
    const { details } = await refused(embedder.embed({ input: [one] }), 'ERR_MODEL_CONTEXT_EXCEEDED')
    expect(details).toEqual({ promptTokens: 257, contextLength: 256, index: 0 })
  })

  test('is embedded by an embedder that takes 512, under another id', async () => {
    await using wide = await openMiniLm(files, { maxTokens: 512, threads: 2, maxBatchTokens: 64 })
    expect(wide.description.id).toBe('all-minilm-l6-v2-512-f32')
    const { vectors } = await wide.embed({ input: [longText.text, 'word '.repeat(510)] })
    expect(cosine(vectors[0] as Float32Array, longText.vector)).toBeGreaterThanOrEqual(0.999_99)
    expect(vectors).toHaveLength(2)
  })

  test('costs no more than its beginning, however long it is', async () => {
    const { details } = await refused(
      embedder.embed({ input: ['word '.repeat(2_000_000)] }),
      'ERR_MODEL_CONTEXT_EXCEEDED'
    )
    // What the first 65,536 characters hold: 13,107 words and a piece.
    expect(details['promptTokens']).toBe(13_107 + 1 + 2)
    const spaces = await refused(
      embedder.embed({ input: [' '.repeat(200_000)] }),
      'ERR_MODEL_INVALID_REQUEST'
    )
    expect(spaces.details).toEqual({ param: 'input', index: 0 })
  })
})

test('tokens stand for the text they came from; what the encoder adds is added', async () => {
  const chosen = goldenTexts.filter(({ text }) => ['a', '', goldenTexts[17]?.text].includes(text))
  const { vectors, usage } = await embedder.embed({ input: chosen.map(({ ids }) => ids.slice(1, -1)) })
  chosen.forEach(({ vector }, i) =>
    expect(cosine(vectors[i] as Float32Array, vector)).toBeGreaterThanOrEqual(0.999_99)
  )
  expect(usage.promptTokens).toBe(chosen.reduce((sum, { ids }) => sum + ids.length, 0))
})

test('the thread that asks goes on while another one computes', async () => {
  let turns = 0
  let done = false
  const turn = (): void => {
    turns++
    if (!done) setImmediate(turn)
  }
  turn()
  await embedder.embed({ input: Array(4).fill('word '.repeat(254)) })
  done = true
  // Computed here, the batch would leave a handful.
  expect(turns).toBeGreaterThan(100)
})

import type { BlockBackend, BlockRunner, ByteSource, HeadRunner } from '@kwaai/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { fileSource } from '../src/gguf/index.ts'
import { bits, cut, greedy } from './ggml-kit.ts'
import { prompts } from './ggml-prompts.ts'
import { createOracle, type Oracle, type OracleRun } from './oracle/index.ts'

// All ten prompts against llama.cpp, one dimension at a time: cuts, threads, steps.
const generated = 64
const indices = Array.from({ length: 10 }, (_, i) => i)
let oracle: Oracle
let model: ByteSource & { close(): Promise<void> }
let texts: number[][]
const expected: OracleRun[] = []

beforeAll(async () => {
  model = await fileSource(process.env['KWAAI_MODEL_PATH'] as string)
  oracle = await createOracle()
  texts = await prompts(oracle)
  for (const text of texts) expected.push(await oracle.generate(text, generated))
  await oracle[Symbol.asyncDispose]()
})

afterAll(() => model?.close())

/** A backend with the head and the blocks in so many parts, for the tests of one `describe`. */
function loaded(threads: number, parts: number): { head: () => HeadRunner; runners: () => BlockRunner[] } {
  let backend: BlockBackend
  let head: HeadRunner
  let runners: BlockRunner[]
  beforeAll(async () => {
    backend = createGgmlBackend({ threads })
    head = await backend.loadHead(model)
    runners = await Promise.all(cut(30, parts).map((range) => backend.loadBlocks(model, range)))
  })
  afterAll(() => backend?.[Symbol.asyncDispose]())
  return { head: () => head, runners: () => runners }
}

async function check(
  { head, runners }: ReturnType<typeof loaded>,
  index: number,
  stepRows?: number
): Promise<void> {
  const { tokens, first, last } = expected[index] as OracleRun
  const run = await greedy(head(), runners(), texts[index] as number[], generated, stepRows)
  expect(bits(run.first).equals(bits(first))).toBe(true)
  expect(run.tokens).toEqual(tokens)
  expect(bits(run.last).equals(bits(last))).toBe(true)
}

describe.each([1, 2, 3, 5, 30])('in %i parts', (parts) => {
  const setup = loaded(1, parts)
  it.each(indices)('gives the bits of llama.cpp on prompt %i', (index) => check(setup, index))
})

describe('with two threads', () => {
  const setup = loaded(2, 1)
  it.each(indices)('gives the bits of llama.cpp on prompt %i', (index) => check(setup, index))
})

describe.each([64, 63])('in steps of %i', (stepRows) => {
  const setup = loaded(1, 1)
  it.each(indices)('gives the bits of llama.cpp on prompt %i', (index) => check(setup, index, stepRows))
})

describe('in steps of 1', () => {
  const setup = loaded(1, 1)
  it('gives the bits of llama.cpp on every prompt of at most 128 tokens', async () => {
    const short = indices.filter((index) => (texts[index] as number[]).length <= 128)
    expect(short.length).toBeGreaterThanOrEqual(5)
    for (const index of short) await check(setup, index, 1)
  })
})

import type { BlockBackend, BlockRunner, HeadRunner } from '@kwaai/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { fileSource } from '../src/gguf/index.ts'
import { bits, cut, greedy } from './ggml-kit.ts'
import { prompts, shortList } from './ggml-prompts.ts'
import { createOracle, type Oracle, type OracleRun } from './oracle/index.ts'

// llama.cpp with the whole model is the oracle: the same library, one thread, the prompt in one ubatch.
const generated = 64
const timeout = 120_000
let oracle: Oracle
let backend: BlockBackend
let head: HeadRunner
let whole: BlockRunner[]
let thirds: BlockRunner[]
let texts: number[][]

beforeAll(async () => {
  const model = await fileSource(process.env['KWAAI_MODEL_PATH'] as string)
  oracle = await createOracle()
  texts = await prompts(oracle)
  backend = createGgmlBackend()
  head = await backend.loadHead(model)
  const load = (parts: number) => Promise.all(cut(30, parts).map((range) => backend.loadBlocks(model, range)))
  ;[whole, thirds] = [await load(1), await load(3)]
  await model.close()
}, timeout)

afterAll(async () => {
  await backend?.[Symbol.asyncDispose]()
  await oracle?.[Symbol.asyncDispose]()
})

describe.each(shortList)('prompt %i', (index) => {
  let prompt: number[]
  let expected: OracleRun

  beforeAll(async () => {
    prompt = texts[index] as number[]
    expected = await oracle.generate(prompt, generated)
  }, timeout)

  it.each(['whole', 'in three parts'])(
    'gives the tokens and the bits of llama.cpp, %s',
    async (how) => {
      const run = await greedy(head, how === 'whole' ? whole : thirds, prompt, generated)
      expect(bits(run.first).equals(bits(expected.first))).toBe(true)
      expect(run.tokens).toEqual(expected.tokens)
      expect(bits(run.last).equals(bits(expected.last))).toBe(true)
    },
    timeout
  )
})

it('has prompts under 64 tokens, of about 100 and over 512, and ten of 37 to 700', () => {
  const lengths = texts.map((text) => text.length)
  const [short, middle, long] = shortList.map((index) => lengths[index] as number)
  expect(short).toBeLessThan(64)
  expect(middle).toBeGreaterThan(80)
  expect(middle).toBeLessThan(128)
  expect(long).toBeGreaterThan(512)
  expect(Math.min(...lengths)).toBeGreaterThanOrEqual(37)
  expect(Math.max(...lengths)).toBeLessThanOrEqual(700)
})

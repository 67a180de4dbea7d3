/** Every pre-tokenizer this package names, and many generated texts, against llama.cpp. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTokenizer, preTokenizerNames } from '../src/generate/index.ts'
import type { GgufFile } from '../src/gguf/index.ts'
import { createOracle } from './oracle/index.ts'
import { mismatches, preTokenizerMismatches, readFile } from './tokenizer-kit.ts'
import { tokenizerTexts } from './tokenizer-texts.ts'

let file: GgufFile
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-tokenizer-'))
  file = await readFile(process.env['KWAAI_MODEL_PATH'] ?? '')
})
afterAll(() => rm(folder, { recursive: true }))

test('twenty thousand texts have the same tokens', async () => {
  await using oracle = await createOracle({ vocabularyOnly: true })
  const tokenizer = createTokenizer(file)
  for (const special of [false, true]) {
    expect(await mismatches(tokenizer, oracle, tokenizerTexts(20_000), special)).toEqual([])
  }
}, 120_000)

test.each([...preTokenizerNames])(
  'the pre-tokenizer %s cuts as llama.cpp does',
  async (pre) => {
    expect(await preTokenizerMismatches(file, pre, folder, tokenizerTexts(2_000))).toEqual([])
  },
  120_000
)

/** The tokenizer against llama.cpp's own, on the default model. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createChatTemplate, createTokenizer, type Tokenizer } from '../src/generate/index.ts'
import type { GgufFile } from '../src/gguf/index.ts'
import { createOracle, type Oracle } from './oracle/index.ts'
import { mismatches, preTokenizerMismatches, readFile } from './tokenizer-kit.ts'
import { tokenizerTexts } from './tokenizer-texts.ts'

let file: GgufFile
let tokenizer: Tokenizer
let oracle: Oracle
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-tokenizer-'))
  file = await readFile(process.env['KWAAI_MODEL_PATH'] ?? '')
  tokenizer = createTokenizer(file)
  oracle = await createOracle({ vocabularyOnly: true })
})
afterAll(async () => {
  await oracle[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

test('at least 500 different texts are compared', () => {
  expect(new Set(tokenizerTexts(400)).size).toBeGreaterThan(500)
})

test.each([false, true])('the same tokens as llama.cpp, control tokens parsed: %s', async (special) => {
  expect(await mismatches(tokenizer, oracle, tokenizerTexts(400), special)).toEqual([])
})

test('what was encoded decodes to itself', () => {
  // The vocabulary has no tokens for these control characters; llama.cpp drops them too.
  const missing = new Set(['\u0004', '\u0006', '\u0013', '\u0014', '\u0016', '\u001d'])
  const kept = (text: string): string => [...text].filter((character) => !missing.has(character)).join('')
  const changed = tokenizerTexts(400).filter(
    (text) => tokenizer.decode(tokenizer.encode(text)) !== kept(text)
  )
  expect(changed).toEqual([])
})

test('plain text never becomes a control token, whatever it says', () => {
  const control = tokenizerTexts(400)
    .flatMap((text) => tokenizer.encode(text))
    .filter((id) => tokenizer.isControl(id))
  expect(control).toEqual([])
})

test('generation ends on the tokens on which llama.cpp ends it', async () => {
  const ends: number[] = []
  for (let id = 0; id < 100; id++) if (await oracle.isEog(id)) ends.push(id)
  expect([...tokenizer.endTokens].toSorted((a, b) => a - b)).toEqual(ends)
  expect(ends).toEqual([0, 2, 4])
})

test('whole chats have the tokens llama.cpp gives their rendering', async () => {
  const template = createChatTemplate(file, { tokenizer })
  const texts = tokenizerTexts(60).filter(
    (text) => !tokenizer.controlTexts.some((name) => text.includes(name))
  )
  const edges = ['', ' ', '\n', '\n\n', '  \t', '\r\n ', 'x']
  const chats = texts.map((text, i) => {
    const padded = `${edges[i % 7]}${text}${edges[(i + 3) % 7]}`
    const turns = [
      { role: 'user' as const, content: padded },
      { role: 'assistant' as const, content: text },
      { role: 'user' as const, content: `${text}${edges[(i + 5) % 7]}` }
    ]
    return i % 2 === 0 ? turns : [{ role: 'system' as const, content: text }, ...turns]
  })
  expect(chats.length).toBeGreaterThan(500)
  const wanted = await oracle.tokenizeAll(
    chats.map((chat) => template.render(chat)),
    true
  )
  const wrong = chats.filter((chat, i) => template.encode(chat).join() !== wanted[i]?.join())
  expect(wrong).toEqual([])
})

test.each(['default', 'llama-bpe'])('the pre-tokenizer %s cuts as llama.cpp does', async (pre) => {
  expect(await preTokenizerMismatches(file, pre, folder, tokenizerTexts(50))).toEqual([])
})

/** Chats on the default model against llama.cpp: the same tokens, from the question's text on. */
import type { ChatMessage, HeadRunner } from '@kwaai/interface'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createChatTemplate, createTextModel, createTokenizer, localBlocks } from '../src/generate/index.ts'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { fileSource, readGguf } from '../src/gguf/index.ts'
import { createOracle } from './oracle/index.ts'
import { outcomeOf } from './text-model-kit.ts'

const questions = [
  'What is a peer-to-peer network?',
  `  Explain this in one sentence, please:\n\n${'A network is a set of machines that talk to each other. '.repeat(8)}\n `
]
const maxTokens = 12
let wanted: number[][]
const path = process.env['KWAAI_MODEL_PATH'] ?? ''
let source: Awaited<ReturnType<typeof fileSource>>
beforeAll(async () => {
  source = await fileSource(path)
  const template = createChatTemplate(await readGguf(source))
  await using oracle = await createOracle()
  wanted = []
  for (const content of questions) {
    const prompt = await oracle.tokenize(template.render([{ role: 'user', content }]), true)
    wanted.push((await oracle.generate(prompt, maxTokens)).tokens)
  }
})
afterAll(() => source.close())

test('three parts answer as llama.cpp does', async () => {
  const cuts = [0, 10, 20, 30]
  const file = await readGguf(source)
  const { endTokens } = createTokenizer(file)
  await using backend = await createGgmlBackend()
  await using head = await backend.loadHead(source)
  const runners = []
  for (let i = 1; i < cuts.length; i++) {
    runners.push(await backend.loadBlocks(source, { from: cuts[i - 1] as number, to: cuts[i] as number }))
  }
  const model = createTextModel({ id: 'smollm2' }, { file, head, blocks: localBlocks(runners) })
  const answers = await Promise.all(
    questions.map((content) =>
      outcomeOf(model.chat({ messages: [{ role: 'user', content }], temperature: 0, maxTokens }))
    )
  )
  for (const [i, answer] of answers.entries()) {
    const theirs = wanted[i] as number[]
    const end = theirs.findIndex((token) => endTokens.has(token))
    expect(answer.tokens).toEqual(end === -1 ? theirs : theirs.slice(0, end + 1))
  }
})

test('a chat says with kept rows what it says without, logit for logit', async () => {
  const file = await readGguf(source)
  await using backend = await createGgmlBackend()
  await using head = await backend.loadHead(source)
  await using first = await backend.loadBlocks(source, { from: 0, to: 15 })
  await using second = await backend.loadBlocks(source, { from: 15, to: 30 })
  const said: Float32Array[] = []
  const listening: HeadRunner = {
    ...head,
    async logits(hidden, options) {
      const logits = await head.logits(hidden, options)
      said.push(logits.slice())
      return logits
    }
  }
  await using model = createTextModel(
    { id: 'smollm2' },
    { file, head: listening, blocks: localBlocks([first, second]) }
  )
  // Two short turns (vec), one that makes the chat long (tile), and one after it.
  const messages: ChatMessage[] = []
  const cached: number[] = []
  for (const question of ['Hi', 'Why?', questions[1] as string, 'So?']) {
    messages.push({ role: 'user', content: question })
    const runs = []
    for (const caller of [undefined, 'ada']) {
      said.length = 0
      const asked = { messages, temperature: 0, maxTokens: 6, ...(caller === undefined ? {} : { caller }) }
      const answer = await outcomeOf(model.chat(asked))
      runs.push({ answer, logits: [...said] })
    }
    const [cold, warm] = runs as [(typeof runs)[number], (typeof runs)[number]]
    expect(cold.answer.usage?.cachedTokens).toBe(0)
    expect(warm.answer.tokens).toEqual(cold.answer.tokens)
    expect(warm.logits.map((row) => Buffer.from(row.buffer))).toEqual(
      cold.logits.map((row) => Buffer.from(row.buffer))
    )
    cached.push(warm.answer.usage?.cachedTokens ?? 0)
    messages.push({ role: 'assistant', content: cold.answer.text })
  }
  const [, short = 0, , long = 0] = cached
  expect(cached).toEqual([0, short, 0, long])
  expect(short).toBeGreaterThan(20)
  expect(long).toBeGreaterThan(100)
})

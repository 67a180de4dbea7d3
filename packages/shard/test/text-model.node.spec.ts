/** Chats on the default model against llama.cpp: the same tokens, from the question's text on. */
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

/** Several answers and probabilities on the default model. */
import type { ChatMessage, HeadRunner } from '@kwaai/interface'
import { expect, test } from 'vitest'
import { createTextModel, localBlocks } from '../src/generate/index.ts'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { fileSource, readGguf } from '../src/gguf/index.ts'
import { answersOf } from './text-model-kit.ts'

const path = process.env['KWAAI_MODEL_PATH'] ?? ''
const questions = ['Why?', `Say it again: ${'A network is a set of machines that talk. '.repeat(8)}`]

test('answers in one session are those of single requests, logit for logit, and so are their probabilities', async () => {
  const source = await fileSource(path)
  try {
    const file = await readGguf(source)
    await using backend = createGgmlBackend()
    await using head = await backend.loadHead(source)
    await using runner = await backend.loadBlocks(source, { from: 0, to: head.shape.blockCount })
    const said: Uint8Array[] = []
    const listening: HeadRunner = {
      ...head,
      async logits(hidden, options) {
        const logits = await head.logits(hidden, options)
        said.push(new Uint8Array(logits.slice().buffer))
        return logits
      }
    }
    // One place: each answer goes back to the end of the prompt in the session of the one before.
    const init = { id: 'smollm2', maxConcurrent: 1 }
    await using model = createTextModel(init, { file, head: listening, blocks: localBlocks(runner) })
    for (const content of questions) {
      const messages: ChatMessage[] = [{ role: 'user', content }]
      const asked = { messages, seed: 5, temperature: 1, maxTokens: 4, logprobs: { top: 5 } }
      const together = await answersOf(model.chat({ ...asked, n: 3 }))
      const logits = said.splice(0)
      const alone = []
      for (let k = 0; k < 3; k++)
        alone.push(...(await answersOf(model.chat({ ...asked, seed: 5 + k }))).answers)
      expect(together.answers).toEqual(alone)
      expect(said.length).toBe(logits.length)
      expect(said.splice(0).every((row, i) => Buffer.compare(row, logits[i] as Uint8Array) === 0)).toBe(true)
      for (const { text, logprobs } of together.answers) {
        const bytes = Buffer.concat(logprobs.map((entry) => entry.bytes))
        expect(bytes.toString()).toBe(text)
        for (const { logprob, top } of logprobs) {
          expect(top).toHaveLength(5)
          expect(top[0]?.logprob).toBeGreaterThanOrEqual(logprob)
        }
      }
    }
  } finally {
    await source.close()
  }
})

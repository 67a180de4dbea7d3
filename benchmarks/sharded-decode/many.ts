import type { HeadRunner } from '@kwaai/interface'
import type { BlockPipelineSource } from '@kwaai/shard/generate'
import { argmax } from '../../packages/shard/test/ggml-kit.ts'
import type { ManyTurn } from './contenders.ts'

/** Tokens of a prompt where several are generated at once. */
export const manyContext = 128

/** Greedy generations side by side over one source: each with a session of its own, all started when all prompts are done. */
export async function manyGreedy(
  blocks: BlockPipelineSource,
  head: HeadRunner,
  prompts: readonly (readonly number[])[],
  count: number
): Promise<ManyTurn> {
  const ready = await Promise.all(
    prompts.map(async (prompt) => {
      const pipeline = await blocks.open({ maxTokens: prompt.length + count })
      const hidden = await head.embed(prompt)
      const row = await pipeline.forward({ past: 0, hidden, kernel: 'tile', result: 'last' })
      const into = new Float32Array(head.shape.vocabularySize)
      return { pipeline, into, past: prompt.length, tokens: [argmax(await head.logits(row, { into }))] }
    })
  )
  const started = performance.now()
  await Promise.all(
    ready.map(async ({ pipeline, into, past, tokens }) => {
      while (tokens.length < count) {
        const hidden = await head.embed([tokens.at(-1) as number])
        const at = past + tokens.length - 1
        const row = await pipeline.forward({ past: at, hidden, kernel: 'vec', result: 'last' })
        tokens.push(argmax(await head.logits(row, { into })))
      }
    })
  )
  const decodeMs = performance.now() - started
  await Promise.all(ready.map(({ pipeline }) => pipeline[Symbol.asyncDispose]()))
  return { decodeMs, tokens: ready.map(({ tokens }) => tokens) }
}

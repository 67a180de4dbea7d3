import type { CallOptions, HeadRunner, RowKernel } from '@kwaai/interface'
import type { BlockPipelineSource } from '@kwaai/shard/generate'
import { argmax } from '../../shard/test/ggml-kit.ts'

/** A greedy run, measured from logits to logits. */
export interface GreedyRun {
  tokens: number[]
  /** Logits after the prompt. */
  first: Float32Array
  /** Logits that gave the last token. */
  last: Float32Array
  prefillMs: number
  decodeMs: number[]
}

/** Greedy generation over a pipeline; the prompt goes in steps of `stepRows` that may overlap. */
export async function greedy(
  blocks: BlockPipelineSource,
  head: HeadRunner,
  prompt: readonly number[],
  count: number,
  stepRows: number = 64,
  { onToken, ...call }: CallOptions & { onToken?: (token: number) => void } = {}
): Promise<GreedyRun> {
  const pipeline = await blocks.open({ maxTokens: prompt.length + count }, call)
  try {
    const kernel: RowKernel = prompt.length >= 64 ? 'tile' : 'vec'
    let started = performance.now()
    const steps: Promise<Float32Array>[] = []
    for (let past = 0; past < prompt.length; past += stepRows) {
      const ids = prompt.slice(past, past + stepRows)
      const hidden = await head.embed(ids)
      const isLast = past + ids.length === prompt.length
      const step = pipeline.forward({ past, hidden, kernel, result: isLast ? 'last' : 'none' }, call)
      // It may fail before all are awaited.
      step.catch(() => undefined)
      steps.push(step)
    }
    const rows = await Promise.all(steps)
    const first = await head.logits(rows.at(-1) as Float32Array)
    const into = new Float32Array(first.length)
    const prefillMs = performance.now() - started
    const tokens: number[] = []
    const decodeMs: number[] = []
    for (let last = first; ;) {
      const token = argmax(last)
      tokens.push(token)
      onToken?.(token)
      if (tokens.length === count) return { tokens, first, last, prefillMs, decodeMs }
      started = performance.now()
      const hidden = await head.embed([token])
      const past = prompt.length + tokens.length - 1
      const row = await pipeline.forward({ past, hidden, kernel: 'vec', result: 'last' }, call)
      last = await head.logits(row, { into })
      decodeMs.push(performance.now() - started)
    }
  } finally {
    await pipeline[Symbol.asyncDispose]()
  }
}

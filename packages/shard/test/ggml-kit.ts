import type { BlockRunner, HeadRunner, RowKernel } from '@kwaai/interface'

/** A greedy run of ours, in the shape of the oracle's. */
export interface GreedyRun {
  tokens: number[]
  first: Float32Array
  last: Float32Array
}

/** Index of the largest value; of several the first. */
export function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}

/** The kernel of a prompt's rows. */
export function kernelOf(promptLength: number): RowKernel {
  return promptLength >= 64 ? 'tile' : 'vec'
}

/**
 * Greedy generation through runners in a row, the prompt in steps of at most `stepRows`; afterwards the sessions
 * are closed.
 */
export async function greedy(
  head: HeadRunner,
  runners: readonly BlockRunner[],
  prompt: readonly number[],
  count: number,
  stepRows: number = prompt.length
): Promise<GreedyRun> {
  const maxTokens = prompt.length + count
  const hops = await Promise.all(
    runners.map(async (runner) => ({ runner, session: await runner.open({ maxTokens }) }))
  )
  const forward = async (ids: readonly number[], past: number, kernel: RowKernel): Promise<Float32Array> => {
    let hidden = await head.embed(ids)
    for (const { runner, session } of hops) {
      const [result] = await runner.forward([{ session, past, kernel, hidden }])
      if (!(result instanceof Float32Array)) throw new Error(`a step failed: ${JSON.stringify(result)}`)
      hidden = result
    }
    return hidden.slice(-head.shape.hiddenSize)
  }
  let row: Float32Array = new Float32Array(0)
  for (let past = 0; past < prompt.length; past += stepRows)
    row = await forward(prompt.slice(past, past + stepRows), past, kernelOf(prompt.length))
  const first = await head.logits(row)
  const tokens: number[] = []
  let last = first
  for (;;) {
    const token = argmax(last)
    tokens.push(token)
    if (tokens.length === count) break
    last = await head.logits(await forward([token], prompt.length + tokens.length - 1, 'vec'))
  }
  await Promise.all(hops.map(({ runner, session }) => runner.close(session)))
  return { tokens, first, last }
}

/** Bounds of `parts` ranges of a model's blocks, as even as can be. */
export function cut(blockCount: number, parts: number): { from: number; to: number }[] {
  return Array.from({ length: parts }, (_, i) => ({
    from: Math.floor((i * blockCount) / parts),
    to: Math.floor(((i + 1) * blockCount) / parts)
  }))
}

/** The bits of numbers, for comparisons that tell one NaN from another and 0 from -0. */
export function bits(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength)
}

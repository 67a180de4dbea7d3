import { KwaaiError } from '@kwaai/interface'
import type { PipelineStep } from '../../src/generate/pipeline.ts'
import type { SimModel } from './model.ts'
import type { Generation } from './story.ts'

/** One call of a pipeline in a generation. */
export interface Call {
  /** 1, 2, 3, … in the generation. */
  number: number
  step: PipelineStep
}

/** Makes a call and looks at what comes back. */
export type Forward = (call: Call) => Promise<Float32Array>

/**
 * Runs the stretches of a generation: the same calls with the same rows, whoever answers them rightly.
 *
 * @returns the tokens that were chosen.
 */
export async function generate(
  stretches: Generation['stretches'],
  { head, likeliest }: SimModel,
  forward: Forward,
  pause: (ms: number) => Promise<void> = async () => undefined
): Promise<number[]> {
  const chosen: number[] = []
  let past = 0
  let number = 0
  let last: Float32Array | undefined
  const underWay: Promise<Float32Array>[] = []

  const prompt = async (
    stretch: Extract<Generation['stretches'][number], { type: 'prompt' }>
  ): Promise<void> => {
    const { tokens, kernel, stepRows, window, all, waits } = stretch
    for (let at = 0; at < tokens.length; at += stepRows) {
      const ids = tokens.slice(at, at + stepRows)
      const result = all ? 'all' : at + stepRows >= tokens.length ? 'last' : 'none'
      const call = forward({
        number: ++number,
        step: { past, hidden: await head.embed(ids), kernel, result }
      })
      // The first failure is told by the await below; the others are not news.
      call.catch(() => undefined)
      underWay.push(call)
      past += ids.length
      if (underWay.length >= window) await underWay[underWay.length - window]
    }
    if (!waits) return
    const results = await Promise.all(underWay.splice(0))
    const rows = results.at(-1) as Float32Array
    last = rows.slice(rows.length - head.shape.hiddenSize)
  }

  for (const stretch of stretches) {
    if (stretch.type === 'prompt') await prompt(stretch)
    else if (stretch.type === 'back') past -= stretch.rows
    else if (stretch.type === 'pause') await pause(stretch.ms)
    else {
      for (let count = 0; count < stretch.count; count++) {
        const token = likeliest(last as Float32Array)
        chosen.push(token)
        const hidden = await head.embed([token])
        last = await forward({ number: ++number, step: { past, hidden, kernel: 'vec', result: 'last' } })
        past += 1
      }
    }
  }
  return chosen
}

/** The results of a generation that nothing disturbs: one for each call. */
export async function undisturbed(
  { stretches, maxTokens }: Pick<Generation, 'stretches' | 'maxTokens'>,
  model: SimModel
): Promise<Float32Array[]> {
  const { blockCount, hiddenSize } = model.head.shape
  const runner = model.runner({ from: 0, to: blockCount })
  const session = await runner.open({ maxTokens })
  const results: Float32Array[] = []
  // One after the other, so that steps that overlap elsewhere do not here.
  let turn: Promise<unknown> = Promise.resolve()
  await generate(stretches, model, ({ number, step }) => {
    const run = async (): Promise<Float32Array> => {
      const [rows] = await runner.forward([
        { session, past: step.past, hidden: step.hidden, kernel: step.kernel }
      ])
      if (!(rows instanceof Float32Array)) throw new Error('The undisturbed run failed')
      const none = new Float32Array(0)
      const wanted = step.result === 'all' ? rows : step.result === 'last' ? rows.slice(-hiddenSize) : none
      results[number - 1] = wanted
      return wanted
    }
    const result = turn.then(run)
    turn = result
    return result
  })
  await runner[Symbol.asyncDispose]()
  return results
}

/** How a generation ended. */
export type Outcome =
  | { type: 'ok' }
  | { type: 'typed'; code: string; message: string }
  | { type: 'cancelled' }
  | { type: 'wrong'; what: string; expected: string; got: string }
  /** Its client died, or the world ended first. */
  | { type: 'unfinished' }

/** What is wrong with a result, or nothing: it has to have the very bits of the undisturbed run. */
export function compareBits(
  got: Float32Array,
  expected: Float32Array,
  hiddenSize: number
): { expected: string; got: string } | undefined {
  const rows = (values: Float32Array): string => `${values.length / hiddenSize} rows`
  if (got.length !== expected.length) return { expected: rows(expected), got: rows(got) }
  const a = new Uint32Array(got.buffer, got.byteOffset, got.length)
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length)
  const at = a.findIndex((word, index) => word !== b[index])
  if (at < 0) return undefined
  const where = `row ${Math.floor(at / hiddenSize)}, value ${at % hiddenSize}`
  return { expected: `${expected[at]} in ${where}`, got: String(got[at]) }
}

/** The outcome of an error that ended a generation. */
export function outcomeOf(error: unknown, cancelled: AbortSignal): Outcome {
  if (cancelled.aborted && error === cancelled.reason) return { type: 'cancelled' }
  if (KwaaiError.is(error)) return { type: 'typed', code: error.code, message: error.message }
  return {
    type: 'wrong',
    what: 'an error without a code',
    expected: 'a KwaaiError',
    got: error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

export function outcomeText(outcome: Outcome): string {
  if (outcome.type === 'typed') return `ends with ${outcome.code}: ${outcome.message}`
  if (outcome.type === 'wrong') return `ends with ${outcome.what}`
  return { ok: 'ends well', cancelled: 'is given up', unfinished: 'does not end' }[outcome.type]
}

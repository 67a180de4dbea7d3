import type { CallOptions, FinishReason, HeadRunner, Random } from '@kwaai/interface'
import type { Detokenizer } from './detokenizer.ts'
import type { CheckedOptions } from './generation-request.ts'
import { promptKernel } from './held-rows.ts'
import { createSampler } from './sampler.ts'
import { createStopStrings } from './stop-strings.ts'
import type { TokenSession } from './token-session.ts'

/** One more token, and the text that may be shown since. */
export interface GeneratedPiece {
  token: number
  text: string
  /** Set with the last token. */
  finish?: FinishReason
}

/** What a generation runs on. */
export interface GenerateComponents {
  head: HeadRunner
  session: TokenSession
  random: Random
  detokenizer: Detokenizer
  endTokens: ReadonlySet<number>
}

/** How a prompt is cut into steps. */
export interface PrefillPlan {
  /** Rows of one step. */
  rows: number
  /** Steps that may be under way at once. */
  steps: number
}

/**
 * Runs a prompt through the blocks, as far as the session does not hold it, then chooses tokens until one ends it, a stop string is complete or
 * `maxTokens` are there.
 */
export async function* generateTokens(
  prompt: readonly number[],
  options: CheckedOptions & { maxTokens: number },
  plan: PrefillPlan,
  components: GenerateComponents,
  call: CallOptions
): AsyncGenerator<GeneratedPiece> {
  const { head, session, random, detokenizer, endTokens } = components
  const sampler = createSampler(options, { random })
  const stops = createStopStrings(options.stop)
  sampler.see(prompt)
  let hidden = await prefill(prompt, plan, components, call)

  const into = new Float32Array(head.shape.vocabularySize)
  for (let count = 1; ; count++) {
    const token = sampler.next(await head.logits(hidden, { ...call, into }))
    if (endTokens.has(token)) {
      yield { token, text: rest(detokenizer, stops), finish: 'stop' }
      return
    }
    const { text, stopped } = stops.push(detokenizer.push(token))
    if (stopped) {
      yield { token, text, finish: 'stop' }
      return
    }
    if (count === options.maxTokens) {
      const more = rest(detokenizer, stops)
      yield { token, text: text + more, finish: 'length' }
      return
    }
    yield { token, text }
    const embedded = await head.embed([token], call)
    hidden = await session.forward({ tokens: [token], hidden: embedded, kernel: 'vec', result: 'last' }, call)
  }
}

/** What the end of a generation lets out: an unfinished character, and what might have begun a stop string. */
function rest(detokenizer: Detokenizer, stops: ReturnType<typeof createStopStrings>): string {
  const { text, stopped } = stops.push(detokenizer.flush())
  return stopped ? text : text + stops.flush()
}

/** The residual of the prompt's last row. Steps are sent without waiting for one another, so that hops overlap. */
async function prefill(
  prompt: readonly number[],
  plan: PrefillPlan,
  { head, session }: GenerateComponents,
  call: CallOptions
): Promise<Float32Array> {
  const kernel = promptKernel(prompt.length)
  const underWay: Promise<Float32Array>[] = []
  let failed: { error: unknown } | undefined
  for (let from = session.cachedTokens; ; from += plan.rows) {
    call.signal?.throwIfAborted()
    const tokens = prompt.slice(from, from + plan.rows)
    const hidden = await head.embed(tokens, call)
    if (failed !== undefined) throw failed.error
    const last = from + tokens.length === prompt.length
    const step = session.forward({ tokens, hidden, kernel, result: last ? 'last' : 'none' }, call)
    // Steps fail while others are awaited; the first failure is the one to tell.
    step.catch((error: unknown) => (failed ??= { error }))
    underWay.push(step)
    if (last) break
    if (underWay.length >= plan.steps) await underWay.shift()
  }
  const results = await Promise.all(underWay)
  return results.at(-1) as Float32Array
}

import type { CallOptions, FinishReason, GenerationEvent, HeadRunner, Random } from '@kwaai/interface'
import { createAnswerText, type AnswerPiece } from './answer-text.ts'
import type { CheckedOptions } from './generation-request.ts'
import type { CompiledGrammar } from './grammar.ts'
import { promptKernel } from './held-rows.ts'
import { logProbabilities } from './logprobs.ts'
import { createSampler } from './sampler.ts'
import type { TokenSession } from './token-session.ts'
import type { Tokenizer } from './tokenizer.ts'
import type { CallTags } from './tool-call-text.ts'

/** What a generation runs on. */
export interface GenerateComponents {
  head: HeadRunner
  session: TokenSession
  random: Random
  tokenizer: Tokenizer
  /** What the answer has to follow. */
  grammar?: CompiledGrammar | undefined
}

/** How a prompt is cut into steps. */
export interface PrefillPlan {
  /** Rows of one step. */
  rows: number
  /** Steps that may be under way at once. */
  steps: number
}

/** One answer of a request. */
export interface AnswerInit {
  /** Which one. */
  index: number
  /** Rows of the prompt that are there already. */
  from: number
  options: CheckedOptions & { maxTokens: number }
  /** The calls it may hold. */
  calls?: CallTags | undefined
  prefill: PrefillPlan
}

/**
 * Runs a prompt through the blocks, as far as the session does not hold it, then chooses tokens until one ends the
 * answer, a stop string is complete, the grammar lets nothing more follow, or `maxTokens` are there.
 *
 * Every token is told with exactly one event; what else a token lets out has events without tokens.
 */
export async function* generateAnswer(
  prompt: readonly number[],
  init: AnswerInit,
  components: GenerateComponents,
  call: CallOptions
): AsyncGenerator<GenerationEvent> {
  const { index, options, calls } = init
  const { head, session, random, tokenizer, grammar } = components
  const { endTokens } = tokenizer
  const top = options.logprobs?.top
  if (options.maxTokens === 0) {
    yield { type: 'finish', index, reason: 'length' }
    return
  }
  const matcher = grammar?.start()
  try {
    let mask = matcher?.mask()
    if (endsHere(mask, endTokens)) {
      yield { type: 'finish', index, reason: 'stop' }
      return
    }
    const sampler = createSampler(options, { random })
    sampler.see(prompt)
    const callId = (): string => newCallId(random)
    const text = createAnswerText(
      { stop: options.stop, calls, logprobs: top !== undefined },
      { detokenizer: tokenizer.detokenizer(), callId }
    )
    let hidden = await prefill(prompt, init, components, call)

    const into = new Float32Array(head.shape.vocabularySize)
    for (let count = 1; ; count++) {
      const logits = await head.logits(hidden, { ...call, into })
      const token = sampler.next(logits, mask)
      let pieces: AnswerPiece[]
      let reason: FinishReason | undefined
      if (endTokens.has(token)) {
        pieces = text.end()
        reason = 'stop'
      } else {
        matcher?.accept(token)
        mask = matcher?.mask()
        const known = text.push(
          token,
          top === undefined ? undefined : probabilityOf(tokenizer, logits, token, top)
        )
        ;({ pieces } = known)
        if (known.stopped) reason = 'stop'
        else if (endsHere(mask, endTokens)) reason = 'stop'
        else if (count === options.maxTokens) reason = 'length'
        if (reason !== undefined && !known.stopped) pieces = [...pieces, ...text.end()]
      }
      yield* eventsOf(index, token, pieces)
      if (reason !== undefined) {
        const called = reason === 'stop' && text.calls > 0
        yield { type: 'finish', index, reason: called ? 'tool_calls' : reason }
        return
      }
      call.signal?.throwIfAborted()
      const embedded = await head.embed([token], call)
      hidden = await session.forward(
        { tokens: [token], hidden: embedded, kernel: 'vec', result: 'last' },
        call
      )
    }
  } finally {
    matcher?.dispose()
  }
}

/** The events of one token: the first has it, so that tokens are counted once. */
function* eventsOf(index: number, token: number, pieces: readonly AnswerPiece[]): Generator<GenerationEvent> {
  const told = pieces.length === 0 ? [{ type: 'text', text: '' } as const] : pieces
  for (const [place, piece] of told.entries()) yield { ...piece, index, tokens: place === 0 ? [token] : [] }
}

/** A token with its probability and the likeliest in its place. Tokens that never show add no bytes. */
function probabilityOf(
  tokenizer: Tokenizer,
  logits: Float32Array,
  token: number,
  count: number
): Parameters<ReturnType<typeof createAnswerText>['push']>[1] {
  const { of, top } = logProbabilities(logits, count)
  return {
    token,
    bytes: tokenizer.isControl(token) ? new Uint8Array() : tokenizer.bytes(token).slice(),
    logprob: of(token),
    top: top.map((one) => ({ ...one, bytes: tokenizer.bytes(one.token).slice() }))
  }
}

/** True where a mask lets in nothing but tokens that end a text. */
function endsHere(mask: Int32Array | undefined, endTokens: ReadonlySet<number>): boolean {
  if (mask === undefined) return false
  let ends = 0
  for (const token of endTokens) if ((((mask[token >> 5] ?? 0) >>> (token & 31)) & 1) === 1) ends++
  if (ends === 0) return false
  let allowed = 0
  for (const word of mask) {
    // One bit less each round (Wegner 1960).
    for (let bits = word; bits !== 0; bits &= bits - 1) if (++allowed > ends) return false
  }
  return true
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const idLength = 24

/** The id of a call, in the form of OpenAI's. */
function newCallId(random: Random): string {
  const pick = (): string => letters[Math.floor(random.next() * letters.length)] as string
  return `call_${Array.from({ length: idLength }, pick).join('')}`
}

/** The residual of the prompt's last row. Steps are sent without waiting for one another, so that hops overlap. */
async function prefill(
  prompt: readonly number[],
  { from: first, prefill: plan }: AnswerInit,
  { head, session }: GenerateComponents,
  call: CallOptions
): Promise<Float32Array> {
  const kernel = promptKernel(prompt.length)
  const underWay: Promise<Float32Array>[] = []
  let failed: { error: unknown } | undefined
  for (let from = first; ; from += plan.rows) {
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

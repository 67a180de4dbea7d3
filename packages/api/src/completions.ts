import type {
  CallOptions,
  CompletionRequest,
  FinishReason,
  GenerationEvent,
  HopAccount,
  LanguageModel,
  TokenLogprobs,
  Usage
} from '@kwaai/interface'
import { misbehaved, type Answer } from './answer.ts'
import type { AnswerCollector, FrameWriter } from './respond.ts'
import { usageObject, type Completion, type CompletionLogprobs } from './responses.ts'
import { createLegacyLogprobs } from './token-logprobs.ts'

/**
 * Completes several prompts, one after the other: they hold one place among the answers under way. Choice `k` of
 * prompt `p` has the index `p * n + k`; the token counts are those of all.
 */
export async function* completeEach(
  model: LanguageModel,
  requests: readonly CompletionRequest[],
  n: number,
  options: CallOptions
): AsyncGenerator<GenerationEvent, void> {
  const usage: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 }
  const hops = new Map<string, HopAccount>()
  let counted = 0
  for (const [prompt, request] of requests.entries()) {
    options.signal?.throwIfAborted()
    for await (const event of model.complete(request, options)) {
      if (event.type === 'usage') {
        counted++
        usage.promptTokens += event.usage.promptTokens
        usage.completionTokens += event.usage.completionTokens
        usage.cachedTokens += event.usage.cachedTokens
        for (const hop of event.hops ?? []) addHop(hops, hop)
      } else if (event.type === 'start') yield event
      else if (event.index >= n) throw misbehaved(`there is no choice ${event.index}`)
      else yield { ...event, index: prompt * n + event.index }
    }
  }
  // Without the counts of each the sum would be too small.
  if (counted === requests.length)
    yield { type: 'usage', usage, ...(hops.size > 0 && { hops: [...hops.values()] }) }
}

function addHop(hops: Map<string, HopAccount>, hop: HopAccount): void {
  const key = `${hop.peer} ${hop.from} ${hop.to} ${hop.numericsClass}`
  const before = hops.get(key)
  const sum = { ...before, ...hop }
  for (const name of ['computeMs', 'queueMs', 'steps'] as const) {
    const [a, b] = [before?.[name], hop[name]]
    if (a !== undefined && b !== undefined) sum[name] = a + b
  }
  hops.set(key, sum)
}

/** How the answer to a request for completions looks. */
export interface CompletionForm {
  n: number
  echoes: readonly string[]
  logprobs: boolean
}

interface Choice {
  text: string[]
  tokens: TokenLogprobs[]
  reason: FinishReason
}

/** Collects completions in one piece. */
export function createCompletionCollector(answer: Answer, form: CompletionForm): AnswerCollector {
  const choices = Array.from({ length: answer.n }, (_, index): Choice => ({
    text: [echoOf(form, index)],
    tokens: [],
    reason: 'stop'
  }))
  return {
    add(event) {
      if (event.type !== 'text' && event.type !== 'finish') return
      const choice = choices[event.index]
      if (choice === undefined) return
      if (event.type === 'finish') choice.reason = event.reason
      else {
        choice.text.push(event.text)
        if (form.logprobs) choice.tokens.push(...(event.logprobs ?? []))
      }
    },
    value(): Completion {
      const usage = usageObject(answer.usage())
      return {
        ...answer.head,
        object: 'text_completion',
        system_fingerprint: answer.fingerprint(),
        choices: choices.map(({ text, tokens, reason }, index) => ({
          index,
          text: text.join(''),
          logprobs: form.logprobs ? createLegacyLogprobs()(tokens) : null,
          finish_reason: reason
        })),
        usage
      }
    }
  }
}

/** The server-sent events of completions: a chunk each text, one a choice with the finish reason, `[DONE]`. */
export function createCompletionWriter(
  answer: Answer,
  form: CompletionForm & { includeUsage: boolean }
): FrameWriter {
  let before: string | undefined
  const after = form.includeUsage ? '],"usage":null}\n\n' : ']}\n\n'
  const legacy = new Map<number, (tokens: readonly TokenLogprobs[]) => CompletionLogprobs>()
  const echoed = new Set<number>()

  const prefix = (): string => {
    const { id, created, model } = answer.head
    const head = { id, object: 'text_completion', created, model, system_fingerprint: answer.fingerprint() }
    return `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`
  }
  const chunk = (
    index: number,
    text: string,
    tokens: readonly TokenLogprobs[],
    reason: FinishReason | null
  ): string => {
    let logprobs: CompletionLogprobs | null = null
    if (form.logprobs && tokens.length > 0) {
      const convert = legacy.get(index) ?? createLegacyLogprobs()
      legacy.set(index, convert)
      logprobs = convert(tokens)
    }
    return `${before}${JSON.stringify({ index, text, logprobs, finish_reason: reason })}${after}`
  }
  const echo = (index: number): string => {
    if (echoed.has(index)) return ''
    echoed.add(index)
    const text = echoOf(form, index)
    return text === '' ? '' : chunk(index, text, [], null)
  }

  return {
    write(event) {
      before ??= prefix()
      if (event.type === 'finish') return echo(event.index) + chunk(event.index, '', [], event.reason)
      if (event.type !== 'text') return ''
      const tokens = form.logprobs ? (event.logprobs ?? []) : []
      if (event.text === '' && tokens.length === 0) return ''
      return echo(event.index) + chunk(event.index, event.text, tokens, null)
    },
    end() {
      const usage = answer.usage()
      const last = form.includeUsage ? `${before}],"usage":${JSON.stringify(usageObject(usage))}}\n\n` : ''
      return `${last}data: [DONE]\n\n`
    }
  }
}

function echoOf({ echoes, n }: CompletionForm, index: number): string {
  return echoes[Math.floor(index / n)] ?? ''
}

import { KwaaiError, type FinishReason, type GenerationEvent, type Usage } from '@kwaai/interface'
import { errorObject, type Refusal } from './refusals.ts'
import type { Generation } from './generation.ts'
import {
  fingerprint,
  usageObject,
  type AnswerHead,
  type ChatCompletion,
  type ChatCompletionChunk
} from './responses.ts'

/** What a generation came to, for the log. */
export interface GenerationReport {
  finishReason?: FinishReason
  usage?: Usage
  error?: unknown
}

/** Reads a generation to its end. @throws what the model throws, or `ERR_API_MODEL_MISBEHAVED`. */
export async function completeChat(
  generation: Generation,
  head: AnswerHead,
  report: GenerationReport
): Promise<ChatCompletion> {
  const text: string[] = []
  let print = fingerprint(head.model, [])
  for (let event = await generation.next(); event !== undefined; event = await generation.next()) {
    if (event.type === 'start') print = fingerprintOf(head, event)
    else if (event.type === 'text') text.push(textOf(event, report))
    else if (event.type !== 'tool-call') note(event, report)
  }
  const { finishReason, usage } = ended(report)
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    system_fingerprint: print,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text.join(''), refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: finishReason
      }
    ],
    usage: usageObject(usage)
  }
}

/** What a stream of chunks is made from. */
export interface ChunkInit {
  generation: Generation
  /** The first event, already asked for. */
  first: Promise<GenerationEvent | undefined>
  head: AnswerHead
  includeUsage: boolean
  report: GenerationReport
  /** The answer an error stands for. */
  refusalOf: (error: unknown) => Refusal
}

/**
 * The server-sent events of a chat: a chunk with the role, one for each text, one with the finish reason, the
 * usage where asked for, `[DONE]`. A failure becomes an `error` event, after which nothing comes: never content,
 * never `[DONE]`, so that nobody takes the part for the whole.
 */
export async function* chatFrames(init: ChunkInit): AsyncGenerator<string, void> {
  const { generation, head, includeUsage, report } = init
  let print = fingerprint(head.model, [])
  const chunk = (
    choices: ChatCompletionChunk['choices'],
    usage: ChatCompletionChunk['usage'] = null
  ): string => {
    const value: ChatCompletionChunk = {
      id: head.id,
      object: 'chat.completion.chunk',
      created: head.created,
      model: head.model,
      system_fingerprint: print,
      choices
    }
    if (includeUsage) value.usage = usage
    return `data: ${JSON.stringify(value)}\n\n`
  }
  const choice = (
    delta: ChatCompletionChunk['choices'][0]['delta'],
    reason: FinishReason | null = null
  ): ChatCompletionChunk['choices'] => [{ index: 0, delta, logprobs: null, finish_reason: reason }]

  try {
    let event = await init.first
    if (event?.type === 'start') {
      print = fingerprintOf(head, event)
      event = undefined
    }
    yield chunk(choice({ role: 'assistant', content: '', refusal: null }))
    for (event ??= await generation.next(); event !== undefined; event = await generation.next()) {
      if (event.type === 'text') {
        const content = textOf(event, report)
        if (content !== '') yield chunk(choice({ content }))
      } else if (event.type !== 'start' && event.type !== 'tool-call') {
        note(event, report)
        if (event.type === 'finish') yield chunk(choice({}, event.reason))
      }
    }
    const { usage } = ended(report)
    if (includeUsage) yield chunk([], usageObject(usage))
    yield 'data: [DONE]\n\n'
  } catch (error) {
    report.error = error
    // Whoever stopped the generation is not there to be told.
    if (generation.signal.aborted) throw error
    yield `event: error\ndata: ${JSON.stringify(errorObject(init.refusalOf(error)))}\n\n`
  } finally {
    generation.stop()
  }
}

function fingerprintOf(head: AnswerHead, start: GenerationEvent & { type: 'start' }): string {
  return fingerprint(
    head.model,
    start.chain.map((hop) => hop.numericsClass)
  )
}

function textOf(event: GenerationEvent & { type: 'text' }, report: GenerationReport): string {
  if (report.finishReason !== undefined && event.text !== '') throw misbehaved('it went on after its end')
  return event.text
}

function note(event: GenerationEvent & { type: 'finish' | 'usage' }, report: GenerationReport): void {
  if (event.type === 'usage') {
    report.usage = event.usage
    return
  }
  if (report.finishReason !== undefined) throw misbehaved('it finished twice')
  report.finishReason = event.reason
}

function ended(report: GenerationReport): { finishReason: FinishReason; usage: Usage } {
  const { finishReason, usage } = report
  if (finishReason === undefined) throw misbehaved('it ended without a finish reason')
  if (usage === undefined) throw misbehaved('it ended without its token counts')
  return { finishReason, usage }
}

function misbehaved(why: string): KwaaiError<'ERR_API_MODEL_MISBEHAVED'> {
  return new KwaaiError(
    'ERR_API_MODEL_MISBEHAVED',
    `Cannot complete the answer: the model broke its contract, ${why}`
  )
}

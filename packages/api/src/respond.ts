import type { CallOptions, Clock, GenerationEvent, Logger, Random } from '@kwaai/interface'
import { createAnswer, type Answer, type AnswerInit } from './answer.ts'
import type { Catalogue } from './catalogue.ts'
import type { Admission, RequestContext } from './context.ts'
import { startGeneration, type Generation } from './generation.ts'
import { randomId } from './ids.ts'
import {
  errorObject,
  logFailure,
  refusalOf,
  RequestRefused,
  type Refusal,
  type RequestWords
} from './refusals.ts'
import { reply, replyWithEvents, type Reply } from './replies.ts'
import { chainHeader, ignoredHeader, receiptHeader } from './reply-headers.ts'

/** What the handlers of `/v1` need. */
export interface HandlerInit {
  catalogue: Catalogue
  clock: Clock
  random: Random
  logger: Logger | undefined
  maxBodyBytes: number
  keepAliveMs: number
  stallTimeoutMs: number
  retryAfterMs: number
}

/** Collects the events of an answer in one piece. */
export interface AnswerCollector {
  add(event: GenerationEvent): void
  /** The body of the reply, after the last event; may be a promise of it. */
  value(): unknown
}

/** Turns the events of an answer into server-sent events. */
export interface FrameWriter {
  /** The frames of one event; empty where it shows nothing. */
  write(event: GenerationEvent): string
  /** The frames after the last event, the end included. */
  end(): string | Promise<string>
  /** The frames of a failure. Default: an `error` event with OpenAI's error object. */
  failed?(refusal: Refusal): string
}

/** A checked request for text. */
export interface TextTask extends Pick<AnswerInit, 'kind' | 'model' | 'stream' | 'n' | 'tools' | 'logprobs'> {
  /** Such as `chatcmpl-`. */
  idPrefix: string
  /** Asks the model. */
  open: (options: CallOptions) => AsyncIterable<GenerationEvent>
  words: RequestWords
  /** Fields nobody here knows. */
  ignored: readonly string[]
  collector(answer: Answer): AnswerCollector
  writer(answer: Answer): FrameWriter
}

/**
 * Takes a place, answers, and gives it back where no answer came about. Whoever gets a stream gives the place
 * back at its end.
 */
export async function withPlace(
  context: RequestContext,
  answer: (admission: Admission) => Promise<Reply>
): Promise<Reply> {
  const admission = context.admit()
  try {
    return await answer(admission)
  } catch (error) {
    admission.release()
    throw error
  }
}

/** Answers with text, in one piece or as a stream. @throws what the model throws before its first event. */
export async function respond(
  init: HandlerInit,
  context: RequestContext,
  admission: Admission,
  task: TextTask
): Promise<Reply> {
  const { clock, logger, keepAliveMs } = init
  const { request, requestId, startedAt } = context
  const { model, kind, stream, n, tools, logprobs } = task
  const id = randomId(task.idPrefix, init.random)
  const created = Math.floor(clock.now() / 1000)
  const answer = createAnswer(
    { id, created, model, kind, stream, n, tools, logprobs, startedAt },
    admission,
    clock
  )
  // An account that cannot be written takes nobody's answer away.
  const end = (...outcome: Parameters<Answer['end']>): Promise<string | undefined> =>
    answer.end(...outcome).catch((error: unknown) => {
      logFailure(logger, requestId, error)
      return undefined
    })
  const generation = startGeneration(task.open, request, () => {
    // Other ends are told by whoever reads the events: an end that breaks the contract is a failure.
    if (generation.signal.aborted) void end('cancelled')
  })

  try {
    if (!stream) {
      const collector = task.collector(answer)
      await generation.each((event) => {
        answer.note(event)
        collector.add(event)
      })
      const value = await collector.value()
      const receipt = await end('completed')
      return reply(value, 200, {
        ...ignoredHeader(task.ignored),
        ...chainHeader(answer.chain),
        ...receiptHeader(receipt)
      })
    }
    const writer = task.writer(answer)
    const first = generation.next()
    const begun = await firstOrLate(first, clock, keepAliveMs)
    return replyWithEvents(
      {
        frames: framesOf(generation, first, answer, writer, () => end('completed')),
        failed(error) {
          // Whoever stopped the generation is not there to be told.
          if (generation.signal.aborted) throw error
          void end('failed', error)
          generation.stop()
          const refusal = refusalOf(error, init.retryAfterMs, task.words)
          if (refusal.status >= 500) logFailure(logger, requestId, error)
          return writer.failed?.(refusal) ?? `event: error\ndata: ${JSON.stringify(errorObject(refusal))}\n\n`
        },
        stop: generation.stop,
        signal: request.signal,
        clock,
        keepAliveMs,
        stallTimeoutMs: init.stallTimeoutMs
      },
      {
        ...ignoredHeader(task.ignored),
        ...(begun?.type === 'start' && chainHeader(begun.chain))
      }
    )
  } catch (error) {
    if (request.gone) throw error
    const refusal = refusalOf(error, init.retryAfterMs, task.words)
    if (refusal.status < 500 && !answer.started) admission.release()
    else await end('failed', error)
    generation.stop()
    throw refusal.status < 500 && !(error instanceof RequestRefused)
      ? new RequestRefused(refusal, error)
      : error
  }
}

/** The frames of a generation, made when they are asked for. */
function framesOf(
  generation: Generation,
  first: Promise<GenerationEvent | undefined>,
  answer: Answer,
  writer: FrameWriter,
  settle: () => Promise<unknown>
): AsyncIterator<string, void> {
  let upcoming: Promise<GenerationEvent | undefined> | undefined = first
  let over = false
  // A generator would cost each frame three more turns of the queue.
  return {
    async next() {
      while (!over) {
        const event = await (upcoming ?? generation.next())
        upcoming = undefined
        if (event === undefined) {
          over = true
          const frames = await writer.end()
          await settle()
          return { done: false, value: frames }
        }
        answer.note(event)
        const frames = writer.write(event)
        if (frames !== '') return { done: false, value: frames }
      }
      return { done: true, value: undefined }
    }
  }
}

// A reason made once: an error of its own each time would cost more than the waiting.
const over = new Error('It is over')

/**
 * A model that fails at once is answered with a status of its own; one that takes its time gets the 200 of a
 * stream, so that the client sees life.
 */
async function firstOrLate<T>(first: Promise<T>, clock: Clock, keepAliveMs: number): Promise<T | undefined> {
  // A generation that is stopped fails at once, so its first event ends the waiting too.
  const waiting = new AbortController()
  const late = clock.sleep(keepAliveMs, { signal: waiting.signal })
  first.catch(() => undefined)
  late.catch(() => undefined)
  try {
    return (await Promise.race([first, late])) ?? undefined
  } finally {
    waiting.abort(over)
  }
}

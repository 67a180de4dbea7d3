import { createEventStream, type EventStreamInit } from './event-stream.ts'
import { errorObject, type Refusal } from './refusals.ts'

/**
 * An answer whose body is no stream yet. A door that writes to a socket writes it as it is, at a fraction of what
 * a stream of the platform costs; everybody else gets a `Response`.
 */
export interface PlainReply {
  readonly status: number
  /** By name in lower case. */
  readonly headers: Map<string, string>
  /** Text, or events that are made when they are asked for. */
  readonly plain: string | EventStreamInit
}

/** What a handler answers with. */
export type Reply = Response | PlainReply

/** A JSON answer. */
export function reply(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
): PlainReply {
  const all = { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers }
  return { status, headers: new Map(Object.entries(all)), plain: JSON.stringify(value) }
}

/** A refusal as an answer with OpenAI's error object. */
export function refuse(refusal: Refusal): PlainReply {
  return reply(errorObject(refusal), refusal.status, refusal.headers)
}

/** Server-sent events as an answer. */
export function replyWithEvents(
  events: EventStreamInit,
  headers: Readonly<Record<string, string>>
): PlainReply {
  const all = {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // nginx would collect the stream before it passes it on.
    'x-accel-buffering': 'no'
  }
  return { status: 200, headers: new Map(Object.entries(all)), plain: events }
}

/** The answer as everybody knows it. */
export function toResponse(answer: Reply): Response {
  if (!('plain' in answer)) return answer
  const { status, headers, plain } = answer
  const body = typeof plain === 'string' ? plain : createEventStream(plain)
  return new Response(body, { status, headers: [...headers] })
}

type Answer = (request: Request) => Promise<Reply>
const answers = new WeakMap<object, Answer>()

/** Lets doors of this room have the answers of an API before they become a `Response`. */
export function rememberAnswer(api: object, answer: Answer): void {
  answers.set(api, answer)
}

/** How to ask an API for what it answers; undefined for one that is not of this room. */
export function answerOf(api: object): Answer | undefined {
  return answers.get(api)
}

import { createEventStream, type EventStreamInit } from './event-stream.ts'
import { errorObject, type Refusal } from './refusals.ts'
import type { ApiRequest } from './api-request.ts'

/**
 * What a handler answers with: no `Response` yet. A door that writes to a socket writes it as it is, at a fraction
 * of what a `Response` costs.
 */
export interface Reply {
  readonly status: number
  /** By name in lower case. */
  readonly headers: Record<string, string>
  /** Text, or events that are made when they are asked for. */
  readonly body: string | EventStreamInit | undefined
}

/** A JSON answer. */
export function reply(value: unknown, status = 200, headers?: Readonly<Record<string, string>>): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify(value)
  }
}

/** A refusal as an answer with OpenAI's error object. */
export function refuse(refusal: Refusal): Reply {
  return reply(errorObject(refusal), refusal.status, refusal.headers)
}

/** Server-sent events as an answer. */
export function replyWithEvents(events: EventStreamInit, headers: Readonly<Record<string, string>>): Reply {
  const all = {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // nginx would collect the stream before it passes it on.
    'x-accel-buffering': 'no'
  }
  return { status: 200, headers: all, body: events }
}

/** The answer as everybody knows it. */
export function toResponse({ status, headers, body }: Reply): Response {
  return new Response(typeof body === 'object' ? createEventStream(body) : body, { status, headers })
}

type Answer = (request: ApiRequest) => Promise<Reply>
const answers = new WeakMap<object, Answer>()

/** Lets doors of this room have the answers of an API before they become a `Response`. */
export function rememberAnswer(api: object, answer: Answer): void {
  answers.set(api, answer)
}

/** How to ask an API for what it answers; undefined for one that is not of this room. */
export function answerOf(api: object): Answer | undefined {
  return answers.get(api)
}

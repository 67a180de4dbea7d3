import { expect } from 'vitest'
import { errorObject } from './schemas.ts'

export const base = 'http://localhost:11435'
export const hello = [{ role: 'user', content: 'Hello' }]

/** A request for `path`. */
export function get(path: string, init: RequestInit = {}): Request {
  return new Request(base + path, init)
}

/** A chat request; `body` is merged over a valid one, a string is sent as it is. */
export function chat(body: Record<string, unknown> | string = {}, init: RequestInit = {}): Request {
  return new Request(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify({ model: 'fake', messages: hello, ...body }),
    ...init
  })
}

/** A request with a body for `path`. */
export function post(path: string, body: unknown, init: RequestInit = {}): Request {
  return new Request(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...init
  })
}

/** Checks that an answer is an error in OpenAI's form. */
export async function expectError(
  response: Response,
  status: number,
  code: string,
  param: string | null = null
): Promise<string> {
  expect(response.headers.get('content-type')).toBe('application/json')
  const body = errorObject.parse(await response.json())
  expect({ status: response.status, code: body.error.code, param: body.error.param }).toEqual({
    status,
    code,
    param
  })
  return body.error.message
}

/** One server-sent event. */
export interface SentEvent {
  event: string
  data: string
}

/** The chunks of a stream that ended well, parsed. */
export async function readChunks<T>(response: Response, schema: { parse(value: unknown): T }): Promise<T[]> {
  const events = parseEvents(await response.text())
  expect(events.pop()).toEqual({ event: 'message', data: '[DONE]' })
  return events.map(({ data }) => schema.parse(JSON.parse(data)))
}

/** Parses a whole stream as WHATWG HTML §9.2.6 says, comments left out. */
export function parseEvents(text: string): SentEvent[] {
  expect(text.endsWith('\n\n')).toBe(true)
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((block) => {
      const event: SentEvent = { event: 'message', data: '' }
      for (const line of block.split('\n')) {
        if (line.startsWith('data: ')) event.data += line.slice(6)
        else if (line.startsWith('event: ')) event.event = line.slice(7)
        else expect(line).toMatch(/^:/)
      }
      return event
    })
    .filter(({ data }) => data !== '')
}

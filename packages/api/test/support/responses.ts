import type { z } from 'zod'
import type { Api } from '@kwaai/api'
import { expect } from 'vitest'
import { base, parseEvents } from './requests.ts'
import { responseEvent, responseObject } from './response-schemas.ts'

/** A response as it comes. */
export type Answered = z.infer<typeof responseObject>
/** An event as it comes. */
export type Told = z.infer<typeof responseEvent>

/** A request for `POST /v1/responses`; `body` is merged over a valid one, a string is sent as it is. */
export function respondTo(body: Record<string, unknown> | string = {}, init: RequestInit = {}): Request {
  return new Request(`${base}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify({ model: 'fake', input: 'Hello', ...body }),
    ...init
  })
}

/** The answer in one piece, checked. */
export async function answered(api: Api, body: Record<string, unknown> = {}): Promise<Answered> {
  const response = await api.fetch(respondTo(body))
  const value: unknown = await response.json()
  expect([response.status, response.status === 200 ? 'answered' : value]).toEqual([200, 'answered'])
  return responseObject.parse(value)
}

/** The events of an answer, checked: their names, their numbers, their forms. */
export async function streamed(api: Api, body: Record<string, unknown> = {}): Promise<Told[]> {
  const response = await api.fetch(respondTo({ ...body, stream: true }))
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  return eventsOf(await response.text())
}

/** Events of a stream that was read. */
export function eventsOf(text: string): Told[] {
  return parseEvents(text).map(({ event, data }, index) => {
    const value = responseEvent.parse(JSON.parse(data))
    expect([value.type, value.sequence_number]).toEqual([event, index])
    return value
  })
}

/** The text a response holds. */
export function textOf({ output }: Answered): string {
  return output
    .flatMap((item) => (item.type === 'message' ? item.content : []))
    .map(({ text }) => text)
    .join('')
}

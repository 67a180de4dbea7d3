import { errorObject, type Refusal } from './refusals.ts'

/** A JSON answer. */
export function reply(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers }
  })
}

/** A refusal as an answer with OpenAI's error object. */
export function refuse(refusal: Refusal): Response {
  return reply(errorObject(refusal), refusal.status, refusal.headers)
}

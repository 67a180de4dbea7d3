import { parseJson, type JsonObject } from '../json.ts'
import { isObject } from '../vc/shape.ts'
import { malformed, unparsable } from './problem.ts'

/**
 * The JSON object of a request, read no further than `maxBytes`.
 *
 * @throws A RequestProblem.
 */
export async function readBody(request: Request, maxBytes: number): Promise<JsonObject> {
  const type = request.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (!/^application\/(?:[a-z0-9.-]+\+)?json$/.test(type))
    throw malformed('The content type has to be application/json', 415)
  const tooLarge = malformed(`The body is larger than ${maxBytes} bytes`, 413)
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = request.body?.getReader()
  if (reader !== undefined) {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      length += value.length
      if (length > maxBytes) {
        await reader.cancel().catch(() => undefined)
        throw tooLarge
      }
      chunks.push(value)
    }
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  let value: unknown
  try {
    value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), { maxLength: maxBytes })
  } catch (error) {
    throw unparsable(error instanceof Error ? error.message : 'It is no JSON')
  }
  if (!isObject(value)) throw malformed('The body is no object')
  return value
}

/** A member that has to be an object. */
export function objectMember(body: JsonObject, name: string): JsonObject {
  const value = body[name]
  if (!isObject(value)) throw malformed(`The body has no object "${name}"`)
  return value
}

/** The options of a request, an empty object where there are none. */
export function optionsOf(body: JsonObject): JsonObject {
  return body['options'] === undefined || body['options'] === null ? {} : objectMember(body, 'options')
}

/** An option that is a text where it is there. */
export function textOption(options: JsonObject, name: string): string | undefined {
  const value = options[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string' || value === '') throw malformed(`The option "${name}" is no text`)
  return value
}

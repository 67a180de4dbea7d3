import { MAX_BODY_DEPTH } from './constants.ts'
import { nestsWithin } from './json-depth.ts'
import { invalid, RequestRefused } from './refusals.ts'

/**
 * Reads a JSON object, never holding more than `maxBytes`.
 * @throws A `RequestRefused` with 400, 413 or 415.
 */
export async function readJsonObject(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  // A page of another site can send any other type without asking first.
  const type = request.headers.get('content-type') ?? ''
  if (type !== 'application/json' && type.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json')
    throw new RequestRefused({
      status: 415,
      code: 'unsupported_media_type',
      message: 'The content type has to be application/json'
    })
  const encoding = request.headers.get('content-encoding')?.trim().toLowerCase()
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity')
    throw new RequestRefused({
      status: 415,
      code: 'unsupported_media_type',
      message: 'The body has to come without a content encoding'
    })

  const text = decode(await readBytes(request, maxBytes))
  if (!nestsWithin(text, MAX_BODY_DEPTH))
    throw invalid(`The body nests more than ${MAX_BODY_DEPTH} levels deep`, undefined, 'invalid_json')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid('The body is not valid JSON', undefined, 'invalid_json')
  }
  if (!isRecord(value)) throw invalid('The body has to be a JSON object', undefined, 'invalid_type')
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  // What the header claims saves the reading; what arrives decides.
  const claimed = Number(request.headers.get('content-length') ?? NaN)
  if (claimed > maxBytes) throw tooLarge(maxBytes)
  if (request.bodyUsed) throw invalid('The body was read before', undefined, 'invalid_body')
  // HTTP servers take no more than was claimed, and hand it over in one piece for a fraction of a stream's cost.
  if (claimed >= 0) {
    const bytes = new Uint8Array(await request.arrayBuffer().catch(endedEarly))
    if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes)
    return bytes
  }
  if (request.body === null) return new Uint8Array(0)

  const reader = request.body.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read().catch(endedEarly)
    if (done) break
    length += value.byteLength
    if (length > maxBytes) {
      reader.cancel().catch(() => undefined)
      throw tooLarge(maxBytes)
    }
    parts.push(value)
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.byteLength
  }
  return bytes
}

function tooLarge(maxBytes: number): RequestRefused {
  return new RequestRefused({
    status: 413,
    code: 'request_too_large',
    message: `The body is larger than ${maxBytes} bytes`
  })
}

function endedEarly(error: unknown): never {
  throw new RequestRefused(
    { status: 400, code: 'invalid_body', message: 'The body ended before it was complete' },
    error
  )
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw invalid('The body is not UTF-8', undefined, 'invalid_json')
  }
}

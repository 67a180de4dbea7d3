import type { ApiRequest } from './api-request.ts'
import { MAX_BODY_DEPTH } from './constants.ts'
import { nestsWithin } from './json-depth.ts'
import { invalid, RequestRefused } from './refusals.ts'

/**
 * Reads a JSON object, never holding more than `maxBytes`.
 * @throws A `RequestRefused` with 400, 413 or 415.
 */
export async function readJsonObject(
  request: ApiRequest,
  maxBytes: number
): Promise<Record<string, unknown>> {
  // A page of another site can send any other type without asking first.
  const type = request.header('content-type') ?? ''
  if (type !== 'application/json' && type.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json')
    throw new RequestRefused({
      status: 415,
      code: 'unsupported_media_type',
      message: 'The content type has to be application/json'
    })
  const encoding = request.header('content-encoding')?.trim().toLowerCase()
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

async function readBytes(request: ApiRequest, maxBytes: number): Promise<Uint8Array> {
  // What the header claims saves the reading; what arrives decides.
  const claimed = Number(request.header('content-length') ?? NaN)
  const bytes = claimed > maxBytes ? undefined : await request.bytes(maxBytes).catch(endedEarly)
  if (bytes === undefined) throw tooLarge(maxBytes)
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
  if (error instanceof RequestRefused) throw error
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

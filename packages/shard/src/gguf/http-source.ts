import type { ByteSource, CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { checkRange } from './range.ts'

/** Options of {@link httpSource}. */
export interface HttpSourceOptions extends CallOptions {
  /** Used instead of the platform's `fetch`. */
  fetch?: typeof globalThis.fetch
}

const contentRange = /^bytes (\d+)-(\d+)\/(\d+)$/

/**
 * A file behind HTTP range requests (RFC 9110 §14). The answer to every request is checked against what was
 * asked, and the entity tag of the first answer holds for all others.
 *
 * @throws A KwaaiError `ERR_SOURCE_RANGES_UNSUPPORTED` when the server sends the whole file instead,
 * `ERR_SOURCE_UNREACHABLE` when it sends an error or nothing, `ERR_SOURCE_CHANGED` when the file is another one.
 */
export async function httpSource(url: string, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const fetch = options.fetch ?? globalThis.fetch
  const fail = (code: 'ERR_SOURCE_UNREACHABLE' | 'ERR_SOURCE_CHANGED', why: string, cause?: unknown): Error =>
    shardError(code, `Cannot read ${url}: ${why}`, { cause, details: { url } })
  let tag: string | null = null
  let size = -1

  async function get(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const headers: Record<string, string> = { range: `bytes=${offset}-${offset + length - 1}` }
    if (tag !== null) headers['if-range'] = tag
    let response: Response
    try {
      response = await fetch(url, signal === undefined ? { headers } : { headers, signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw fail('ERR_SOURCE_UNREACHABLE', 'the request failed', error)
    }
    try {
      if (response.status === 200) {
        if (size >= 0)
          throw fail('ERR_SOURCE_CHANGED', 'the file changed, or the server stopped serving ranges')
        throw shardError('ERR_SOURCE_RANGES_UNSUPPORTED', `Cannot read ${url}: the server serves no ranges`)
      }
      if (response.status !== 206)
        throw fail('ERR_SOURCE_UNREACHABLE', `the server answered ${response.status}`)
      const range = contentRange.exec(response.headers.get('content-range') ?? '')
      const [first, last, total] = [Number(range?.[1]), Number(range?.[2]), Number(range?.[3])]
      if (range === null || !Number.isSafeInteger(total))
        throw shardError(
          'ERR_SOURCE_RANGES_UNSUPPORTED',
          `Cannot read ${url}: no usable Content-Range header`
        )
      if (first !== offset || last !== offset + length - 1 || (size >= 0 && total !== size))
        throw fail('ERR_SOURCE_CHANGED', 'the server answered with another range')
      const strong = response.headers.get('etag')
      const tagOf = strong?.startsWith('"') === true ? strong : null
      if (size >= 0 && tag !== null && tagOf !== null && tagOf !== tag)
        throw fail('ERR_SOURCE_CHANGED', 'its entity tag changed')
      const bytes = await exactly(response, length)
      if (bytes === undefined)
        throw fail('ERR_SOURCE_CHANGED', 'the answer has another length than announced')
      if (size < 0) [size, tag] = [total, tagOf]
      return bytes
    } catch (error) {
      await response.body?.cancel().catch(() => undefined)
      signal?.throwIfAborted()
      if (error instanceof TypeError) throw fail('ERR_SOURCE_UNREACHABLE', 'the answer broke off', error)
      throw error
    }
  }

  await get(0, 1, options.signal)
  return {
    size,
    async read(offset, length, options = {}) {
      checkRange(size, offset, length)
      return length === 0 ? new Uint8Array(0) : get(offset, length, options.signal)
    }
  }
}

/** The body, if it has exactly `length` bytes; reading stops as soon as it has more. */
async function exactly(response: Response, length: number): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(length)
  let filled = 0
  const reader = response.body?.getReader()
  if (reader === undefined) return undefined
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return filled === length ? bytes : undefined
      if (value.length > length - filled) return undefined
      bytes.set(value, filled)
      filled += value.length
    }
  } finally {
    reader.releaseLock()
  }
}

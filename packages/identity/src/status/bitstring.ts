import { KwaaiError } from '@kwaai/interface'
import { base64url } from 'multiformats/bases/base64'
import { ERR_IDENTITY_STATUS_LIST_INVALID, identityError } from '../errors.ts'

/** Fewest entries of a status list, so that an entry hides among many (Bitstring Status List 1.0, section 3.2). */
export const MIN_STATUS_ENTRIES = 131_072

/** Largest list that is read unless the caller says otherwise, in bytes once it is inflated: 8,388,608 entries of a bit. */
export const DEFAULT_MAX_STATUS_LIST_BYTES: number = 2 ** 20

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_STATUS_LIST_INVALID, `Cannot use the status list: ${why}`)
}

async function* chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    // What is not wanted any more is not inflated either.
    await reader.cancel().catch(() => undefined)
  }
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream,
  maxBytes: number
): Promise<Uint8Array<ArrayBuffer>> {
  const piped = new Blob([bytes]).stream().pipeThrough(stream)
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of chunks(piped)) {
    length += part.length
    if (length > maxBytes) refuse(`it inflates to more than the ${maxBytes} bytes allowed`)
    parts.push(part)
  }
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** The `encodedList` of a bitstring: GZIP, then base64url with the multibase prefix `u`. */
export async function encodeBitstring(bits: Uint8Array): Promise<string> {
  return base64url.encode(await through(Uint8Array.from(bits), new CompressionStream('gzip'), Infinity))
}

/**
 * The bitstring in an `encodedList`. Inflating stops at the cap, so that a small list cannot fill the memory.
 *
 * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where it is no base64url with the prefix `u`, no GZIP, or
 * larger than `maxBytes` (default {@link DEFAULT_MAX_STATUS_LIST_BYTES}).
 */
export async function decodeBitstring(
  encodedList: string,
  maxBytes: number = DEFAULT_MAX_STATUS_LIST_BYTES
): Promise<Uint8Array> {
  if (!encodedList.startsWith('u')) refuse('it does not begin with the multibase prefix "u"')
  // What GZIP cannot shorten grows by its header and, in base64, by a third.
  if (encodedList.length > 2 * maxBytes + 64) refuse(`its ${encodedList.length} characters are too many`)
  let packed: Uint8Array<ArrayBuffer>
  try {
    packed = Uint8Array.from(base64url.decode(encodedList))
  } catch {
    refuse('it is not base64url')
  }
  try {
    return await through(packed, new DecompressionStream('gzip'), maxBytes)
  } catch (error) {
    if (KwaaiError.is(error, ERR_IDENTITY_STATUS_LIST_INVALID)) throw error
    refuse('it is not GZIP')
  }
}

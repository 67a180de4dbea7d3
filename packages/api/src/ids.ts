import type { Random } from '@kwaai/interface'
import type { ApiRequest } from './api-request.ts'

const digits = new TextEncoder().encode('0123456789abcdef')
const decoder = new TextDecoder()

/** Ids made at once: to draw and to write them one by one costs several times as much. */
const idsAtOnce = 32
const idLength = 32
const drawn = new WeakMap<Random, { text: string; at: number }>()

/** `prefix` and 128 random bits in hex. */
export function randomId(prefix: string, random: Random): string {
  let pool = drawn.get(random)
  if (pool === undefined || pool.at === pool.text.length) {
    pool = { text: toHex(random.bytes((idsAtOnce * idLength) / 2)), at: 0 }
    drawn.set(random, pool)
  }
  const { text, at } = pool
  pool.at += idLength
  return prefix + text.slice(at, at + idLength)
}

function toHex(bytes: Uint8Array): string {
  const text = new Uint8Array(2 * bytes.length)
  for (const [index, byte] of bytes.entries()) {
    text[2 * index] = digits[byte >> 4] as number
    text[2 * index + 1] = digits[byte & 15] as number
  }
  return decoder.decode(text)
}

/** The client's own request id where it is one that may stand in a header and a log, else a new one. */
export function requestIdOf(request: ApiRequest, random: Random): string {
  const given = request.header('x-request-id')
  return given !== null && /^[\w.:-]{1,128}$/.test(given) ? given : randomId('req_', random)
}

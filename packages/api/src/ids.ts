import type { Random } from '@kwaai/interface'
import type { ApiRequest } from './api-request.ts'

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Ids made at once: to draw and to write them one by one costs several times as much. */
const idsAtOnce = 32
const idBytes = 16
const drawn = new WeakMap<Random, { text: string; at: number }>()

/** `prefix` and 128 random bits in hex. */
export function randomId(prefix: string, random: Random): string {
  let pool = drawn.get(random)
  if (pool === undefined || pool.at === pool.text.length) {
    const bytes = random.bytes(idsAtOnce * idBytes)
    pool = { text: Array.from(bytes, (byte) => hex[byte]).join(''), at: 0 }
    drawn.set(random, pool)
  }
  pool.at += 2 * idBytes
  return prefix + pool.text.slice(pool.at - 2 * idBytes, pool.at)
}

/** The client's own request id where it is one that may stand in a header and a log, else a new one. */
export function requestIdOf(request: ApiRequest, random: Random): string {
  const given = request.header('x-request-id')
  return given !== null && /^[\w.:-]{1,128}$/.test(given) ? given : randomId('req_', random)
}

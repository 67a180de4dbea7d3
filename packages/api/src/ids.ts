import type { Random } from '@kwaai/interface'

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** `prefix` and 128 random bits in hex. */
export function randomId(prefix: string, random: Random): string {
  let id = prefix
  for (const byte of random.bytes(16)) id += hex[byte]
  return id
}

/** The client's own request id where it is one that may stand in a header and a log, else a new one. */
export function requestIdOf(request: Request, random: Random): string {
  const given = request.headers.get('x-request-id')
  return given !== null && /^[\w.:-]{1,128}$/.test(given) ? given : randomId('req_', random)
}

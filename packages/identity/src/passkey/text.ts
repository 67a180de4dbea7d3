import { base64url } from 'multiformats/bases/base64'

/** The bytes of a text in base64url without padding: at most so many, or `undefined`. */
export function base64UrlBytes(text: unknown, maxBytes: number): Uint8Array | undefined {
  if (typeof text !== 'string' || text.length > Math.ceil((maxBytes * 4) / 3) || !/^[\w-]*$/.test(text)) {
    return undefined
  }
  try {
    return base64url.baseDecode(text)
  } catch {
    return undefined
  }
}

/** Whether two hold the same bytes, in a time that does not tell where they differ. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (const [at, byte] of a.entries()) difference |= byte ^ (b[at] as number)
  return difference === 0
}

import { isBytes } from '@noble/hashes/utils.js'

const hexDigits = '0123456789abcdef'

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += hexDigits.charAt(byte >> 4) + hexDigits.charAt(byte & 15)
  return text
}

/** True when both hold the same bytes. Not constant time: for public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/**
 * Bytes or lists of them, in one array.
 *
 * @throws A TypeError for whatever is neither, a text above all.
 */
export function concatBytes(...parts: readonly ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  // A text has a length too, and would be taken as that many zeros, its digits as they are.
  if (!parts.every((part) => Array.isArray(part) || isBytes(part)))
    throw new TypeError('Expected bytes, a Uint8Array')
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

import { toHex } from './bytes.ts'

// Own code for two encodings, because the codecs of multiformats are 2 kB of the 20 that the door may have. What they
// are given is bounded by their callers: the time of base58 grows with the square of the length.

const base58Digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const base32Digits = 'abcdefghijklmnopqrstuvwxyz234567'

/** Bitcoin's base58, each leading zero byte a leading `1`. */
export function encodeBase58(bytes: Uint8Array): string {
  let text = ''
  for (let rest = BigInt(`0x0${toHex(bytes)}`); rest > 0n; rest /= 58n) {
    text = (base58Digits[Number(rest % 58n)] as string) + text
  }
  const zeros = bytes.findIndex((byte) => byte !== 0)
  return '1'.repeat(zeros < 0 ? bytes.length : zeros) + text
}

/** The bytes of a base58 text, or `undefined` when it is none. */
export function decodeBase58(text: string): Uint8Array | undefined {
  // The number in pieces of 24 bits, the lowest first: a piece times 58^4 and what is carried fit a double.
  const pieces: number[] = []
  for (let i = 0; i < text.length; i += 4) {
    let carried = 0
    let weight = 1
    for (let at = i; at < Math.min(i + 4, text.length); at++) {
      const digit = base58Digits.indexOf(text.charAt(at))
      if (digit < 0) return undefined
      carried = carried * 58 + digit
      weight *= 58
    }
    for (let k = 0; k < pieces.length; k++) {
      carried += (pieces[k] as number) * weight
      pieces[k] = carried % 0x1000000
      carried = Math.floor(carried / 0x1000000)
    }
    if (carried > 0) pieces.push(carried)
  }
  const last = pieces.at(-1) ?? 0
  const length = pieces.length * 3 - (last === 0 ? 0 : last < 0x100 ? 2 : last < 0x10000 ? 1 : 0)
  let zeros = 0
  while (text[zeros] === '1') zeros++
  const bytes = new Uint8Array(zeros + length)
  for (let k = 0; k < length; k++) {
    bytes[bytes.length - 1 - k] = (pieces[Math.floor(k / 3)] as number) >> ((k % 3) * 8)
  }
  return bytes
}

/** The bytes of a base32 text (RFC 4648, section 6, lower case, no padding), or `undefined` when it is none. */
export function decodeBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8))
  let at = 0
  let bits = 0
  let value = 0
  for (const character of text) {
    const digit = base32Digits.indexOf(character)
    if (digit < 0) return undefined
    value = (value << 5) | digit
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = value >> bits
    value &= (1 << bits) - 1
  }
  // Bits left over are fewer than a digit has, and zero: so each value has one text.
  return bits < 5 && value === 0 ? bytes : undefined
}

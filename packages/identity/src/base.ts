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
  let value = 0n
  // Nine digits fit a double, and big numbers are slow.
  for (let i = 0; i < text.length; i += 9) {
    let part = 0
    let weight = 1
    for (const character of text.slice(i, i + 9)) {
      const digit = base58Digits.indexOf(character)
      if (digit < 0) return undefined
      part = part * 58 + digit
      weight *= 58
    }
    value = value * BigInt(weight) + BigInt(part)
  }
  const hex = value === 0n ? '' : value.toString(16)
  const zeros = /^1*/.exec(text)?.[0].length ?? 0
  const bytes = new Uint8Array(zeros + Math.ceil(hex.length / 2))
  for (let end = hex.length, i = bytes.length; end > 0; end -= 2) {
    bytes[--i] = Number.parseInt(hex.slice(Math.max(0, end - 2), end), 16)
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

/**
 * GPT-2's printable alphabet for bytes: tokens of a byte-level BPE vocabulary are written in it.
 * Printable Latin-1 bytes stand for themselves, the others for U+0100 and up, in order.
 * Source: `bytes_to_unicode` of openai/gpt-2, encoder.py.
 */
const byteToChar: readonly string[] = (() => {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
})()

const charToByte: ReadonlyMap<string, number> = new Map(byteToChar.map((char, byte) => [char, byte]))

/** Bytes written in GPT-2's byte alphabet. */
export function toByteLevel(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byteToChar[byte] as string
  return text
}

/** The bytes a token's text stands for, or `undefined` when a character is not in the byte alphabet. */
export function fromByteLevel(text: string): Uint8Array | undefined {
  const bytes: number[] = []
  for (const char of text) {
    const byte = charToByte.get(char)
    if (byte === undefined) return undefined
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

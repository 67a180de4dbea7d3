/**
 * GPT-2's printable alphabet for bytes: tokens of a byte-level BPE vocabulary are written in it.
 * Printable Latin-1 bytes stand for themselves, the others for U+0100 and up, in order.
 * Source: `bytes_to_unicode` of openai/gpt-2, encoder.py.
 */
const byteOf: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  let next = 0x100
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(printable(byte) ? byte : next++), byte])
  )
})()

/** The bytes a token's text stands for, or `undefined` when a character is not in the byte alphabet. */
export function fromByteLevel(text: string): Uint8Array | undefined {
  const bytes: number[] = []
  for (const character of text) {
    const byte = byteOf.get(character)
    if (byte === undefined) return undefined
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

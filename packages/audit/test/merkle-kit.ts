import { hashChildren, hashLeaf, type HashReader } from '../src/index.ts'

/** The entries of the known answers of Certificate Transparency. */
export const knownEntries: readonly Uint8Array[] = [
  [],
  [0x00],
  [0x10],
  [0x20, 0x21],
  [0x30, 0x31],
  [0x40, 0x41, 0x42, 0x43],
  [0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
  [0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f]
].map((bytes) => Uint8Array.from(bytes))

/** Entries that differ. */
export function entriesOf(count: number, salt = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => Uint8Array.of(salt, at >> 16, (at >> 8) & 0xff, at & 0xff))
}

/** Reads hashes from entries in memory, by the definition of RFC 6962. */
export function readerOf(entries: readonly Uint8Array[]): HashReader {
  const hash = (start: number, count: number): Uint8Array =>
    count === 1
      ? hashLeaf(entries[start] as Uint8Array)
      : hashChildren(hash(start, count / 2), hash(start + count / 2, count / 2))
  return async (level, index) => hash(index * 2 ** level, 2 ** level)
}

/** The bytes of hexadecimal. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

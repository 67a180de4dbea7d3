const hostIsLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

function swapWords(bytes: Uint8Array): Uint8Array {
  const swapped = bytes.slice()
  const view = new DataView(swapped.buffer)
  for (let at = 0; at < swapped.length; at += 4) view.setUint32(at, view.getUint32(at, true), false)
  return swapped
}

/** The wire form of rows: the same memory where the machine is little-endian. */
export function rowsToBytes(rows: Float32Array, littleEndian: boolean = hostIsLittleEndian): Uint8Array {
  const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)
  return littleEndian ? bytes : swapWords(bytes)
}

/** Rows of their wire form: the same memory where it lies on a multiple of four bytes, a copy elsewhere. */
export function bytesToRows(bytes: Uint8Array, littleEndian: boolean = hostIsLittleEndian): Float32Array {
  const own = littleEndian ? (bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()) : swapWords(bytes)
  return new Float32Array(own.buffer, own.byteOffset, own.byteLength / 4)
}

/** True for equal bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

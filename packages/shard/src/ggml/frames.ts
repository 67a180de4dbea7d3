/** A message between a backend and the process that computes: something JSON can say, and bytes. */
export interface Frame<T> {
  head: T
  /** In memory of its own that begins at a multiple of eight. */
  data: Uint8Array<ArrayBuffer>
}

// Lengths of head and data, each 32 bits, little endian.
const prefixBytes = 8
/** Most bytes of a head: the tensors of a model with thousands of them take about a megabyte. */
export const maxHeadBytes: number = 2 ** 24
/** Most bytes of data: the cached rows of one session, which one call exports. */
export const maxDataBytes: number = 2 ** 31

/** The bytes of a frame; `data` pieces follow each other. */
export function encodeFrame(head: unknown, data: readonly ArrayBufferView[] = []): Uint8Array {
  const text = Buffer.from(JSON.stringify(head))
  const dataBytes = data.reduce((sum, { byteLength }) => sum + byteLength, 0)
  checkLengths(text.length, dataBytes)
  const frame = Buffer.allocUnsafe(prefixBytes + text.length + dataBytes)
  frame.writeUInt32LE(text.length, 0)
  frame.writeUInt32LE(dataBytes, 4)
  frame.set(text, prefixBytes)
  let at = prefixBytes + text.length
  for (const { buffer, byteOffset, byteLength } of data) {
    frame.set(new Uint8Array(buffer, byteOffset, byteLength), at)
    at += byteLength
  }
  return frame
}

/**
 * Takes the bytes of frames in pieces as they come, and hands on each frame when it is whole.
 *
 * @throws a RangeError for a frame above the limits, before memory is taken for it.
 */
export function createFrameReader<T>(onFrame: (frame: Frame<T>) => void): (bytes: Uint8Array) => void {
  const prefix = Buffer.alloc(prefixBytes)
  let head = Buffer.alloc(0)
  let data = new Uint8Array(0)
  let part: Uint8Array = prefix
  let filled = 0

  return (bytes) => {
    for (let at = 0; ;) {
      const count = Math.min(part.length - filled, bytes.length - at)
      part.set(bytes.subarray(at, at + count), filled)
      at += count
      filled += count
      if (filled < part.length) return
      filled = 0
      if (part === prefix) {
        const [headBytes, dataBytes] = [prefix.readUInt32LE(0), prefix.readUInt32LE(4)]
        checkLengths(headBytes, dataBytes)
        head = Buffer.alloc(headBytes)
        data = new Uint8Array(dataBytes)
        part = head
      } else if (part === head) part = data
      else {
        part = prefix
        onFrame({ head: JSON.parse(head.toString()) as T, data })
      }
    }
  }
}

function checkLengths(headBytes: number, dataBytes: number): void {
  if (headBytes > maxHeadBytes || dataBytes > maxDataBytes)
    throw new RangeError(`a message of ${headBytes} and ${dataBytes} bytes is too long`)
}

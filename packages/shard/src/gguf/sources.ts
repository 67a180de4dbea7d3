import type { ByteSource } from '@kwaai/interface'
import { checkRange } from './range.ts'

/** Bytes already in memory; `read` copies. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    async read(offset, length, options = {}) {
      options.signal?.throwIfAborted()
      checkRange(bytes.length, offset, length)
      return bytes.slice(offset, offset + length)
    }
  }
}

/** A Blob or File, as a browser's file picker or its cache hands it out. */
export function blobSource(blob: Blob): ByteSource {
  return {
    size: blob.size,
    async read(offset, length, options = {}) {
      options.signal?.throwIfAborted()
      checkRange(blob.size, offset, length)
      const bytes = new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
      options.signal?.throwIfAborted()
      return bytes
    }
  }
}

import type { ByteSource } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { GgufNumberType } from './file.ts'

/**
 * Reads a header front to back in pieces of bounded size. `need` makes sure of bytes and may wait; what follows
 * it reads them at once. Most calls of `need` find their bytes already there, so callers ask `has` first.
 */
export class Cursor {
  /** Bytes of the source already passed. */
  position = 0
  readonly #source: ByteSource
  readonly #end: number
  readonly #readBytes: number
  readonly #signal: AbortSignal | undefined
  // Strict, so that no two different names decode to one text; a byte-order mark is a character like others.
  readonly #text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #bytes: Uint8Array = new Uint8Array(0)
  #view: DataView = new DataView(this.#bytes.buffer)
  /** Where `#bytes` starts in the source. */
  #base = 0

  constructor(source: ByteSource, end: number, readBytes: number, signal: AbortSignal | undefined) {
    this.#source = source
    this.#end = end
    this.#readBytes = readBytes
    this.#signal = signal
  }

  /** Bytes left up to the limit of the header or the end of the source. */
  get left(): number {
    return this.#end - this.position
  }

  has(length: number): boolean {
    return this.position - this.#base + length <= this.#bytes.length
  }

  async need(length: number): Promise<void> {
    if (this.has(length)) return
    this.checkLeft(length)
    const wanted = Math.min(Math.max(length, this.#readBytes), this.left)
    const bytes = await this.#source.read(
      this.position,
      wanted,
      this.#signal === undefined ? {} : { signal: this.#signal }
    )
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#base = this.position
    if (!this.has(length))
      throw shardError('ERR_SOURCE_CHANGED', 'Cannot read the model: the source gave fewer bytes')
  }

  /** Throws unless so many bytes are left, before anything is allocated for them. */
  checkLeft(length: number): void {
    if (length <= this.left) return
    if (this.#end < this.#source.size)
      throw shardError(
        'ERR_GGUF_LIMIT_EXCEEDED',
        `Cannot read the model: its header is longer than ${this.#end} bytes`
      )
    throw shardError('ERR_GGUF_TRUNCATED', 'Cannot read the model: the file ends inside its header', {
      details: { position: this.position, size: this.#source.size }
    })
  }

  skip(length: number): void {
    this.checkLeft(length)
    this.position += length
  }

  number(type: GgufNumberType): number {
    const at = this.position - this.#base
    switch (type) {
      case 'uint8':
        this.position += 1
        return this.#view.getUint8(at)
      case 'int8':
        this.position += 1
        return this.#view.getInt8(at)
      case 'uint16':
        this.position += 2
        return this.#view.getUint16(at, true)
      case 'int16':
        this.position += 2
        return this.#view.getInt16(at, true)
      case 'uint32':
        this.position += 4
        return this.#view.getUint32(at, true)
      case 'int32':
        this.position += 4
        return this.#view.getInt32(at, true)
      case 'float32':
        this.position += 4
        return this.#view.getFloat32(at, true)
      case 'float64':
        this.position += 8
        return this.#view.getFloat64(at, true)
      case 'uint64':
        this.position += 8
        return exact(this.#view.getBigUint64(at, true))
      case 'int64':
        this.position += 8
        return exact(this.#view.getBigInt64(at, true))
    }
  }

  /** UTF-8 text of `length` bytes. */
  text(length: number): string {
    const at = this.position - this.#base
    this.position += length
    try {
      return this.#text.decode(this.#bytes.subarray(at, at + length))
    } catch (cause) {
      throw shardError('ERR_GGUF_INVALID', 'Cannot read the model: a text in its header is not UTF-8', {
        cause
      })
    }
  }
}

/** Whole numbers beyond 2^53 are no counts, sizes or offsets of any real file, and no exact numbers here. */
function exact(value: bigint): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number))
    throw shardError('ERR_GGUF_INVALID', `Cannot read the model: ${value} in its header is beyond 2^53`)
  return number
}

import { shardError } from '../errors.ts'

/**
 * Fields of protobuf messages, as far as ONNX needs them (protobuf.dev, "Encoding"). A message is a list of
 * chunks: bytes, and places for values that are made later.
 */
export type Chunk<T> = Uint8Array | T

/** Anything with a length: what a {@link Message} counts of a value that is made later. */
export interface Sized {
  readonly byteLength: number
}

const encoder = new TextEncoder()
const varintType = 0
const lengthType = 2
const fixed32Type = 5

/** A message under construction. */
export class Message<T extends Sized> {
  readonly chunks: Chunk<T>[] = []
  byteLength = 0

  /** A whole number from -2^63 to 2^63 - 1; negative ones take ten bytes, as int64 has it. */
  int(field: number, value: number | bigint): void {
    this.#push(varint(BigInt((field << 3) | varintType)), varint(exact(value)))
  }

  /** A 32-bit float. */
  float(field: number, value: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setFloat32(0, value, true)
    this.#push(varint(BigInt((field << 3) | fixed32Type)), bytes)
  }

  /** Text, as UTF-8. */
  text(field: number, value: string): void {
    this.bytes(field, encoder.encode(value))
  }

  /** Bytes, or a place for them. */
  bytes(field: number, value: Chunk<T>): void {
    this.#push(varint(BigInt((field << 3) | lengthType)), varint(BigInt(value.byteLength)), value)
  }

  /** A message within this one. */
  message(field: number, value: Message<T>): void {
    this.#push(varint(BigInt((field << 3) | lengthType)), varint(BigInt(value.byteLength)))
    for (const chunk of value.chunks) this.chunks.push(chunk)
    this.byteLength += value.byteLength
  }

  #push(...chunks: Chunk<T>[]): void {
    for (const chunk of chunks) {
      this.chunks.push(chunk)
      this.byteLength += chunk.byteLength
    }
  }
}

function exact(value: number | bigint): bigint {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    throw shardError('ERR_ONNX_INVALID', `Cannot write the model: ${value} is no whole number below 2^53`)
  const whole = BigInt(value)
  if (BigInt.asIntN(64, whole) !== whole)
    throw shardError('ERR_ONNX_INVALID', `Cannot write the model: ${value} does not fit into 64 bits`)
  return BigInt.asUintN(64, whole)
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

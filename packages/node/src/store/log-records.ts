import { createHash } from 'node:crypto'
import type { BatchOperation } from '@kwaai/interface'

/** The first bytes of a log, so that no other file is taken for one. */
export const logMagic: Uint8Array = new TextEncoder().encode('kwaai.store/1\n')

/** Length of the payload, its digest, and the digest of both. */
export const recordHeaderBytes: number = 4 + 8 + 8

const digestBytes = 8
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

function digest(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest().subarray(0, digestBytes)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}

/** What became of a key in a record, and where its value lies in the payload. */
export interface LoggedOperation {
  key: string
  /** Absent where the key was deleted. */
  value?: { offset: number; length: number }
}

/**
 * One record: a batch, whole or not there at all. Each operation is a byte (1 put, 0 delete), the key's length
 * (u32, little-endian) and its UTF-8, and for a put the value's length and the value.
 *
 * @returns the record, and where each operation's value lies in it.
 */
export function encodeRecord(operations: readonly BatchOperation[]): {
  bytes: Uint8Array
  operations: LoggedOperation[]
} {
  const keys = operations.map(({ key }) => encoder.encode(key))
  const length = operations.reduce(
    (sum, operation, at) =>
      sum + 5 + (keys[at] as Uint8Array).length + (operation.type === 'put' ? 4 + operation.value.length : 0),
    0
  )
  const bytes = new Uint8Array(recordHeaderBytes + length)
  const view = new DataView(bytes.buffer)
  const logged: LoggedOperation[] = []
  let at = recordHeaderBytes
  for (const [index, operation] of operations.entries()) {
    const key = keys[index] as Uint8Array
    bytes[at] = operation.type === 'put' ? 1 : 0
    view.setUint32(at + 1, key.length, true)
    bytes.set(key, at + 5)
    at += 5 + key.length
    if (operation.type === 'delete') {
      logged.push({ key: operation.key })
      continue
    }
    view.setUint32(at, operation.value.length, true)
    bytes.set(operation.value, at + 4)
    logged.push({ key: operation.key, value: { offset: at + 4, length: operation.value.length } })
    at += 4 + operation.value.length
  }
  view.setUint32(0, length, true)
  bytes.set(digest(bytes.subarray(recordHeaderBytes)), 4)
  bytes.set(digest(bytes.subarray(0, 4 + digestBytes)), 4 + digestBytes)
  return { bytes, operations: logged }
}

/** The payload's length, or `undefined` where the bytes are no header. */
export function payloadLength(header: Uint8Array): number | undefined {
  if (!equal(digest(header.subarray(0, 4 + digestBytes)), header.subarray(4 + digestBytes))) return undefined
  return new DataView(header.buffer, header.byteOffset).getUint32(0, true)
}

/** The operations of a payload with offsets into the record, or `undefined` where it is not the one written. */
export function decodePayload(header: Uint8Array, payload: Uint8Array): LoggedOperation[] | undefined {
  if (!equal(digest(payload), header.subarray(4, 4 + digestBytes))) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const logged: LoggedOperation[] = []
  let at = 0
  try {
    while (at < payload.length) {
      const put = payload[at] === 1
      const keyLength = view.getUint32(at + 1, true)
      const key = decoder.decode(payload.subarray(at + 5, at + 5 + keyLength))
      at += 5 + keyLength
      if (!put) {
        logged.push({ key })
        continue
      }
      const length = view.getUint32(at, true)
      logged.push({ key, value: { offset: recordHeaderBytes + at + 4, length } })
      at += 4 + length
    }
  } catch {
    return undefined
  }
  return at === payload.length ? logged : undefined
}

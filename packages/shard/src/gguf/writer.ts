import { defaultAlignment, ggufMagic } from '../constants.ts'
import { shardError } from '../errors.ts'
import {
  numberBytes,
  valueTypeIds,
  type GgufElementType,
  type GgufNumberType,
  type GgufValue
} from './file.ts'
import { tensorBytes, tensorTypes, type TensorType } from './tensor-types.ts'

/** What goes into a file. */
export interface WriteGgufInit {
  /** In the order they are to have in the file. */
  metadata: Iterable<readonly [key: string, value: GgufValue]>
  tensors: Iterable<{ name: string; type: TensorType; shape: readonly number[]; data: Uint8Array }>
}

const encoder = new TextEncoder()

/**
 * Makes a GGUF file, version 3, in memory. `readGguf` reads it back, and so does llama.cpp.
 *
 * @throws A KwaaiError `ERR_GGUF_INVALID_TENSOR` for data that do not fit their type and shape,
 * `ERR_GGUF_INVALID` for an array without its values.
 */
export function writeGguf(init: WriteGgufInit): Uint8Array {
  const metadata = [...init.metadata]
  const tensors = [...init.tensors]
  const given = metadata.find(([key]) => key === 'general.alignment')?.[1]
  const alignment = given?.type === 'uint32' ? given.value : defaultAlignment
  const pad = (n: number): number => Math.ceil(n / alignment) * alignment

  const header = createBytes()
  header.number('uint32', ggufMagic)
  header.number('uint32', 3)
  header.number('uint64', tensors.length)
  header.number('uint64', metadata.length)
  for (const [key, value] of metadata) {
    header.text(key)
    writeValue(header, key, value)
  }
  let end = 0
  const offsets = tensors.map(({ name, type, shape, data }) => {
    if (tensorBytes(type, shape) !== data.length)
      throw shardError(
        'ERR_GGUF_INVALID_TENSOR',
        `Cannot write the tensor ${name}: ${data.length} bytes do not fit`
      )
    const offset = end
    end = pad(end + data.length)
    header.text(name)
    header.number('uint32', shape.length)
    for (const n of shape) header.number('uint64', n)
    header.number('uint32', tensorTypes[type].id)
    header.number('uint64', offset)
    return offset
  })
  const head = header.bytes()
  const dataOffset = pad(head.length)
  const file = new Uint8Array(dataOffset + end)
  file.set(head)
  tensors.forEach(({ data }, i) => file.set(data, dataOffset + (offsets[i] as number)))
  return file
}

function writeValue(out: Bytes, key: string, value: GgufValue): void {
  out.number('uint32', valueTypeIds[value.type])
  if (value.type !== 'array') return writeElement(out, value.type, value.value)
  if (value.value === undefined)
    throw shardError('ERR_GGUF_INVALID', `Cannot write the metadata key ${key}: its values were skipped`)
  out.number('uint32', valueTypeIds[value.of])
  out.number('uint64', value.value.length)
  for (const element of value.value) writeElement(out, value.of, element)
}

function writeElement(out: Bytes, type: GgufElementType, value: number | boolean | string): void {
  if (type === 'string') out.text(String(value))
  else if (type === 'bool') out.number('uint8', value === true ? 1 : 0)
  else out.number(type, Number(value))
}

interface Bytes {
  number(type: GgufNumberType, value: number): void
  text(value: string): void
  bytes(): Uint8Array
}

/** A growing run of little-endian bytes. */
function createBytes(): Bytes {
  let buffer = new Uint8Array(4096)
  let view = new DataView(buffer.buffer)
  let length = 0
  const reserve = (n: number): number => {
    if (length + n > buffer.length) {
      const larger = new Uint8Array(Math.max(buffer.length * 2, length + n))
      larger.set(buffer)
      buffer = larger
      view = new DataView(buffer.buffer)
    }
    const at = length
    length += n
    return at
  }
  const number = (type: GgufNumberType, value: number): void => {
    const at = reserve(numberBytes[type])
    switch (type) {
      case 'uint8':
        return view.setUint8(at, value)
      case 'int8':
        return view.setInt8(at, value)
      case 'uint16':
        return view.setUint16(at, value, true)
      case 'int16':
        return view.setInt16(at, value, true)
      case 'uint32':
        return view.setUint32(at, value, true)
      case 'int32':
        return view.setInt32(at, value, true)
      case 'float32':
        return view.setFloat32(at, value, true)
      case 'float64':
        return view.setFloat64(at, value, true)
      case 'uint64':
        return view.setBigUint64(at, BigInt(value), true)
      case 'int64':
        return view.setBigInt64(at, BigInt(value), true)
    }
  }
  return {
    number,
    text(value) {
      const bytes = encoder.encode(value)
      number('uint64', bytes.length)
      // Making room may put another buffer in the place of this one.
      const at = reserve(bytes.length)
      buffer.set(bytes, at)
    },
    bytes: () => buffer.slice(0, length)
  }
}

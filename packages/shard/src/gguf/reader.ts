import type { ByteSource, CallOptions } from '@kwaai/interface'
import { defaultAlignment, defaultReadBytes, ggufMagic } from '../constants.ts'
import { shardError } from '../errors.ts'
import { Cursor } from './cursor.ts'
import {
  numberBytes,
  valueTypeIds,
  type GgufArray,
  type GgufElementType,
  type GgufFile,
  type GgufTensor,
  type GgufValue
} from './file.ts'
import { tensorBytes, tensorTypeOf } from './tensor-types.ts'

/** What the reader accepts at most. The defaults are generous for vocabularies of 256,000 tokens. */
export interface GgufLimits {
  /** Bytes of the whole header. Default 128 MiB. */
  headerBytes: number
  /** Metadata keys. Default 4,096. */
  keys: number
  /** Tensors. Default 65,536. */
  tensors: number
  /** Bytes of a key. Default 1,024. */
  keyBytes: number
  /** Bytes of a text. Default 1 MiB. */
  stringBytes: number
  /** Elements of an array. Default 2,097,152. */
  arrayLength: number
}

/** Options of {@link readGguf}. */
export interface ReadGgufOptions extends CallOptions {
  limits?: Partial<GgufLimits>
  /** Arrays to pass over: a block server needs no tokens. Default: none. */
  skipArrays?: (key: string) => boolean
  /** Bytes read at a time. Default 256 KiB. */
  readBytes?: number
}

/** The limits {@link readGguf} has when it is given none. */
export const defaultGgufLimits: Readonly<GgufLimits> = {
  headerBytes: 134_217_728,
  keys: 4096,
  tensors: 65_536,
  keyBytes: 1024,
  stringBytes: 1_048_576,
  arrayLength: 2_097_152
}

// ggml keeps names in 64 bytes with a closing zero and knows four dimensions (ggml.h).
const tensorNameBytes = 63
const dimensions = 4

const typeNames: ReadonlyMap<number, GgufElementType | 'array'> = new Map(
  (Object.keys(valueTypeIds) as (GgufElementType | 'array')[]).map((name) => [valueTypeIds[name], name])
)

const invalid = (why: string): Error => shardError('ERR_GGUF_INVALID', `Cannot read the model: ${why}`)
const tooMuch = (what: string, count: number, limit: number): Error =>
  shardError(
    'ERR_GGUF_LIMIT_EXCEEDED',
    `Cannot read the model: ${what} is ${count}, above the limit of ${limit}`
  )

/**
 * Reads and checks the header of a GGUF file, version 2 or 3, little-endian (ggml, docs/gguf.md). Tensor data
 * stays where it is; every tensor is known to lie inside the file and apart from all others.
 *
 * @throws A KwaaiError `ERR_GGUF_INVALID`, `ERR_GGUF_TRUNCATED`, `ERR_GGUF_LIMIT_EXCEEDED`,
 * `ERR_GGUF_UNSUPPORTED` or `ERR_GGUF_INVALID_TENSOR` for a file that is not as it should be.
 */
export async function readGguf(source: ByteSource, options: ReadGgufOptions = {}): Promise<GgufFile> {
  const limits: GgufLimits = { ...defaultGgufLimits, ...options.limits }
  const readBytes = options.readBytes ?? defaultReadBytes
  const cursor = new Cursor(source, Math.min(source.size, limits.headerBytes), readBytes, options.signal)

  await cursor.need(4)
  if (cursor.number('uint32') !== ggufMagic) throw invalid('it does not begin with "GGUF"')
  await cursor.need(20)
  const version = cursor.number('uint32')
  if (version !== 0 && (version & 0xffff) === 0)
    throw shardError('ERR_GGUF_UNSUPPORTED', 'Cannot read the model: big-endian GGUF files are not supported')
  if (version !== 2 && version !== 3)
    throw shardError('ERR_GGUF_UNSUPPORTED', `Cannot read the model: GGUF version ${version} is not 2 or 3`)
  const tensorCount = cursor.number('uint64')
  const keyCount = cursor.number('uint64')
  if (tensorCount > limits.tensors) throw tooMuch('the number of tensors', tensorCount, limits.tensors)
  if (keyCount > limits.keys) throw tooMuch('the number of metadata keys', keyCount, limits.keys)

  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < keyCount; i++) {
    const key = await readText(cursor, limits.keyBytes, 'a metadata key')
    if (metadata.has(key)) throw invalid(`the metadata key ${key} occurs twice`)
    metadata.set(key, await readValue(cursor, limits, () => options.skipArrays?.(key) === true))
  }
  const alignment = alignmentOf(metadata)

  const tensors = new Map<string, GgufTensor>()
  for (let i = 0; i < tensorCount; i++) {
    const tensor = await readTensor(cursor)
    if (tensors.has(tensor.name)) throw invalid(`the tensor ${tensor.name} occurs twice`)
    tensors.set(tensor.name, tensor)
  }
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment
  for (const [name, tensor] of tensors) tensors.set(name, { ...tensor, offset: dataOffset + tensor.offset })
  checkPlaces([...tensors.values()], source.size, alignment, dataOffset)
  return { version, alignment, dataOffset, metadata, tensors }
}

async function readText(cursor: Cursor, limit: number, what: string): Promise<string> {
  if (!cursor.has(8)) await cursor.need(8)
  const length = cursor.number('uint64')
  if (length > limit) throw tooMuch(`the length of ${what}`, length, limit)
  if (!cursor.has(length)) await cursor.need(length)
  return cursor.text(length)
}

async function readType(cursor: Cursor): Promise<GgufElementType | 'array'> {
  await cursor.need(4)
  const id = cursor.number('uint32')
  const type = typeNames.get(id)
  if (type === undefined) throw invalid(`there is no metadata type ${id}`)
  return type
}

async function readValue(cursor: Cursor, limits: GgufLimits, skip: () => boolean): Promise<GgufValue> {
  const type = await readType(cursor)
  if (type === 'array') return readArray(cursor, limits, skip())
  if (type === 'string') return { type, value: await readText(cursor, limits.stringBytes, 'a metadata text') }
  await cursor.need(numberBytes[type])
  if (type === 'bool') return { type, value: readBool(cursor) }
  return { type, value: cursor.number(type) }
}

function readBool(cursor: Cursor): boolean {
  const byte = cursor.number('uint8')
  if (byte > 1) throw invalid(`${byte} is neither true nor false`)
  return byte === 1
}

async function readArray(cursor: Cursor, limits: GgufLimits, skip: boolean): Promise<GgufArray> {
  const of = await readType(cursor)
  // As in ggml itself, whose reader knows no arrays of arrays either.
  if (of === 'array')
    throw shardError('ERR_GGUF_UNSUPPORTED', 'Cannot read the model: its metadata nests arrays')
  await cursor.need(8)
  const length = cursor.number('uint64')
  if (length > limits.arrayLength) throw tooMuch('the length of an array', length, limits.arrayLength)
  // Each text takes at least its length field: an array that cannot fit is refused before it is read.
  cursor.checkLeft(length * (of === 'string' ? 8 : numberBytes[of]))
  if (of === 'string') {
    const value: string[] = []
    for (let i = 0; i < length; i++) {
      if (!skip) value.push(await readText(cursor, limits.stringBytes, 'a metadata text'))
      else {
        if (!cursor.has(8)) await cursor.need(8)
        cursor.skip(cursor.number('uint64'))
      }
    }
    return skip ? { type: 'array', of, length } : { type: 'array', of, length, value }
  }
  const bytes = numberBytes[of]
  if (skip) {
    cursor.skip(length * bytes)
    return { type: 'array', of, length }
  }
  if (of === 'bool') {
    const value: boolean[] = []
    for (let i = 0; i < length; i++) {
      if (!cursor.has(bytes)) await cursor.need(bytes)
      value.push(readBool(cursor))
    }
    return { type: 'array', of, length, value }
  }
  const value: number[] = []
  for (let i = 0; i < length; i++) {
    if (!cursor.has(bytes)) await cursor.need(bytes)
    value.push(cursor.number(of))
  }
  return { type: 'array', of, length, value }
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const entry = metadata.get('general.alignment')
  if (entry === undefined) return defaultAlignment
  const value = entry.type === 'uint32' ? entry.value : 0
  // A power of two, as ggml demands.
  if (value === 0 || (value & (value - 1)) !== 0) throw invalid('general.alignment is no power of two')
  return value
}

/** Reads one tensor's description; `offset` is still from the start of the data. */
async function readTensor(cursor: Cursor): Promise<GgufTensor> {
  const name = await readText(cursor, tensorNameBytes, 'a tensor name')
  const wrong = (why: string): Error =>
    shardError('ERR_GGUF_INVALID_TENSOR', `Cannot read the model: the tensor ${name} ${why}`, {
      details: { tensor: name }
    })
  await cursor.need(4)
  const count = cursor.number('uint32')
  if (count < 1 || count > dimensions) throw wrong(`has ${count} dimensions`)
  await cursor.need(8 * count + 12)
  const shape: number[] = []
  for (let i = 0; i < count; i++) shape.push(cursor.number('uint64'))
  const id = cursor.number('uint32')
  const offset = cursor.number('uint64')
  if (shape.includes(0)) throw wrong('is empty')
  const type = tensorTypeOf(id)
  if (type === undefined)
    throw shardError(
      'ERR_GGUF_UNSUPPORTED',
      `Cannot read the model: the tensor ${name} has the unknown type ${id}`
    )
  const byteLength = tensorBytes(type, shape)
  if (byteLength === undefined)
    throw wrong(`has rows of ${shape[0]} elements, no whole number of ${type} blocks`)
  if (!Number.isSafeInteger(byteLength) || !Number.isSafeInteger(offset + byteLength))
    throw wrong('is too large')
  return { name, type, shape, offset, byteLength }
}

/** Every tensor aligned, inside the file, and apart from the others. */
function checkPlaces(tensors: GgufTensor[], size: number, alignment: number, dataOffset: number): void {
  tensors.sort((a, b) => a.offset - b.offset)
  let end = dataOffset
  for (const { name, offset, byteLength } of tensors) {
    const details = { tensor: name }
    if ((offset - dataOffset) % alignment !== 0)
      throw shardError(
        'ERR_GGUF_INVALID_TENSOR',
        `Cannot read the model: the tensor ${name} is not aligned`,
        { details }
      )
    if (offset < end)
      throw shardError(
        'ERR_GGUF_INVALID_TENSOR',
        `Cannot read the model: the tensor ${name} overlaps another`,
        { details }
      )
    end = offset + byteLength
    if (end > size)
      throw shardError(
        'ERR_GGUF_TRUNCATED',
        `Cannot read the model: the file ends before the tensor ${name} does`,
        {
          details: { tensor: name, size, needed: end }
        }
      )
  }
}

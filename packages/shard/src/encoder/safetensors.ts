import type { ByteSource, CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'

/** An element type of a safetensors file. */
export type SafetensorsType =
  | 'BOOL'
  | 'U8'
  | 'I8'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'I16'
  | 'U16'
  | 'F16'
  | 'BF16'
  | 'I32'
  | 'U32'
  | 'F32'
  | 'I64'
  | 'U64'
  | 'F64'

/** Bytes of an element by type (huggingface/safetensors, README, "Format"). */
const elementBytes: Readonly<Record<SafetensorsType, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8
}

/** A tensor, and where its bytes lie: little-endian, row by row. */
export interface SafetensorsTensor {
  readonly name: string
  readonly type: SafetensorsType
  readonly shape: readonly number[]
  /** First byte in the file. */
  readonly offset: number
  readonly byteLength: number
}

/** The header of a safetensors file. */
export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>
  readonly metadata: Readonly<Record<string, string>>
}

/** Options of {@link readSafetensors}. */
export interface ReadSafetensorsOptions extends CallOptions {
  /** Bytes of the header at most. Default 16 MiB. */
  maxHeaderBytes?: number
  /** Tensors at most. Default 65,536. */
  maxTensors?: number
}

const defaultMaxHeaderBytes = 16_777_216
const defaultMaxTensors = 65_536
const maxDimensions = 8
const maxNameLength = 1_024
const lengthBytes = 8

const invalid = (why: string, cause?: unknown): Error =>
  shardError('ERR_SAFETENSORS_INVALID', `Cannot read the weights: ${why}`, { cause })

/**
 * Reads the header of a safetensors file and checks all of it: types, shapes, and that the tensors lie side by
 * side, each with as many bytes as its shape asks for, and fill the file to its end.
 *
 * @throws A KwaaiError `ERR_SAFETENSORS_INVALID`, `ERR_SAFETENSORS_TRUNCATED` or `ERR_SAFETENSORS_LIMIT_EXCEEDED`,
 * or what the source throws.
 */
export async function readSafetensors(
  source: ByteSource,
  options: ReadSafetensorsOptions = {}
): Promise<SafetensorsFile> {
  const { maxHeaderBytes = defaultMaxHeaderBytes, maxTensors = defaultMaxTensors, signal } = options
  const call = signal === undefined ? {} : { signal }
  if (source.size < lengthBytes) throw truncated(source)
  const first = await source.read(0, lengthBytes, call)
  const length = new DataView(first.buffer, first.byteOffset, first.byteLength).getBigUint64(0, true)
  if (length > BigInt(maxHeaderBytes))
    throw shardError(
      'ERR_SAFETENSORS_LIMIT_EXCEEDED',
      `Cannot read the weights: their header has ${length} bytes, ${maxHeaderBytes} is the most`
    )
  const dataOffset = lengthBytes + Number(length)
  if (dataOffset > source.size) throw truncated(source)
  const header = parse(await source.read(lengthBytes, Number(length), call))

  const tensors = new Map<string, SafetensorsTensor>()
  let metadata: Readonly<Record<string, string>> = {}
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') metadata = readMetadata(entry)
    else if (tensors.size < maxTensors) tensors.set(name, readEntry(name, entry, dataOffset))
    else
      throw shardError(
        'ERR_SAFETENSORS_LIMIT_EXCEEDED',
        `Cannot read the weights: they have more than ${maxTensors} tensors`
      )
  }
  checkLayout([...tensors.values()], dataOffset, source)
  return { tensors, metadata }
}

function truncated(source: ByteSource): Error {
  return shardError(
    'ERR_SAFETENSORS_TRUNCATED',
    `Cannot read the weights: the file ends after ${source.size} bytes, before the end of what it announces`
  )
}

function parse(bytes: Uint8Array): object {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (cause) {
    throw invalid('the header is no JSON', cause)
  }
  if (!isRecord(header)) throw invalid('the header is no JSON object')
  return header
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readMetadata(entry: unknown): Readonly<Record<string, string>> {
  if (!isRecord(entry)) throw invalid('__metadata__ is no object')
  const pairs = Object.entries(entry)
  for (const [key, value] of pairs)
    if (typeof value !== 'string') throw invalid(`__metadata__.${key} is no text`)
  return Object.fromEntries(pairs as [string, string][])
}

function readEntry(name: string, entry: unknown, dataOffset: number): SafetensorsTensor {
  if (name.length > maxNameLength) throw invalid(`a tensor has a name of ${name.length} characters`)
  if (!isRecord(entry)) throw invalid(`the tensor ${name} is no object`)
  const { dtype, shape, data_offsets: offsets } = entry
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype))
    throw invalid(`the tensor ${name} has the unknown type ${String(dtype).slice(0, 40)}`)
  if (!isCounts(shape) || shape.length > maxDimensions)
    throw invalid(`the tensor ${name} has no possible shape`)
  if (!isCounts(offsets) || offsets.length !== 2) throw invalid(`the tensor ${name} has no offsets`)
  const [from, to] = offsets as [number, number]
  const type = dtype as SafetensorsType
  const byteLength = shape.reduce((product, n) => product * n, elementBytes[type])
  if (to - from !== byteLength)
    throw invalid(`the tensor ${name} has ${to - from} bytes, its shape asks for ${byteLength}`)
  return { name, type, shape, offset: dataOffset + from, byteLength }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}

/** Throws unless tensors neither overlap nor leave holes, in which a file could hide what nobody looks at. */
function checkLayout(tensors: readonly SafetensorsTensor[], dataOffset: number, source: ByteSource): void {
  let end = dataOffset
  for (const { name, offset, byteLength } of tensors.toSorted(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength
  )) {
    if (offset < end) throw invalid(`the tensor ${name} overlaps another one`)
    if (offset > end) throw invalid(`nothing is said of the ${offset - end} bytes before the tensor ${name}`)
    end += byteLength
  }
  if (end > source.size) throw truncated(source)
  if (end < source.size) throw invalid(`nothing is said of its last ${source.size - end} bytes`)
}

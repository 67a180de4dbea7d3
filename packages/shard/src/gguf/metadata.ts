import { shardError } from '../errors.ts'
import type { GgufArray, GgufFile } from './file.ts'

/** A text of the metadata, or `undefined` without that key. @throws A KwaaiError `ERR_GGUF_MISSING_METADATA` when it is no text. */
export function metadataString(file: GgufFile, key: string): string | undefined {
  const entry = file.metadata.get(key)
  if (entry === undefined) return undefined
  if (entry.type !== 'string') throw wrongType(key, 'a text')
  return entry.value
}

/** A number of the metadata, or `undefined` without that key. @throws A KwaaiError `ERR_GGUF_MISSING_METADATA` when it is no number. */
export function metadataNumber(file: GgufFile, key: string): number | undefined {
  const entry = file.metadata.get(key)
  if (entry === undefined) return undefined
  if (entry.type === 'array' || typeof entry.value !== 'number') throw wrongType(key, 'a number')
  return entry.value
}

/** A truth value of the metadata, or `undefined` without that key. @throws A KwaaiError `ERR_GGUF_MISSING_METADATA` when it is none. */
export function metadataBoolean(file: GgufFile, key: string): boolean | undefined {
  const entry = file.metadata.get(key)
  if (entry === undefined) return undefined
  if (entry.type !== 'bool') throw wrongType(key, 'true or false')
  return entry.value
}

/** Texts of the metadata, or `undefined` without that key. @throws A KwaaiError `ERR_GGUF_MISSING_METADATA` when they are none, or were skipped. */
export function metadataStrings(file: GgufFile, key: string): readonly string[] | undefined {
  const entry = arrayOf(file, key, 'texts')
  if (entry === undefined) return undefined
  if (entry.of !== 'string') throw wrongType(key, 'an array of texts')
  return entry.value ?? skipped(key)
}

/** Numbers of the metadata, or `undefined` without that key. @throws A KwaaiError `ERR_GGUF_MISSING_METADATA` when they are none, or were skipped. */
export function metadataNumbers(file: GgufFile, key: string): readonly number[] | undefined {
  const entry = arrayOf(file, key, 'numbers')
  if (entry === undefined) return undefined
  if (entry.of === 'string' || entry.of === 'bool') throw wrongType(key, 'an array of numbers')
  return entry.value ?? skipped(key)
}

/** The length of an array, read or skipped, or `undefined` without that key. @throws A KwaaiError `ERR_GGUF_MISSING_METADATA` when it is no array. */
export function metadataLength(file: GgufFile, key: string): number | undefined {
  return arrayOf(file, key, 'values')?.length
}

function arrayOf(file: GgufFile, key: string, what: string): GgufArray | undefined {
  const entry = file.metadata.get(key)
  if (entry === undefined) return undefined
  if (entry.type !== 'array') throw wrongType(key, `an array of ${what}`)
  return entry
}

function wrongType(key: string, what: string): Error {
  return shardError(
    'ERR_GGUF_MISSING_METADATA',
    `Cannot use the model: its metadata key ${key} is not ${what}`,
    {
      details: { key }
    }
  )
}

function skipped(key: string): never {
  throw shardError('ERR_GGUF_MISSING_METADATA', `Cannot use the model: ${key} was skipped when it was read`, {
    details: { key }
  })
}

import { shardError } from '../errors.ts'

/** @throws A KwaaiError `ERR_SOURCE_OUT_OF_BOUNDS` unless `[offset, offset + length)` lies within `size` bytes. */
export function checkRange(size: number, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length)
  if (!whole || offset < 0 || length < 0 || offset > size - length)
    throw shardError(
      'ERR_SOURCE_OUT_OF_BOUNDS',
      `Cannot read ${length} bytes at ${offset}: the source has ${size}`
    )
}

import { ERR_IDENTITY_STATUS_LIST_INVALID, identityError } from '../errors.ts'
import {
  decodeBitstring,
  DEFAULT_MAX_STATUS_LIST_BYTES,
  encodeBitstring,
  MIN_STATUS_ENTRIES
} from './bitstring.ts'

/** What a status list is to be. */
export interface StatusListInit {
  /** Entries, at least and by default {@link MIN_STATUS_ENTRIES}; a multiple of 8. */
  length?: number
  /** Bits of an entry, 1 (default) to 8. More than one only for the purpose `message`. */
  statusSize?: number
}

/** A list of statuses, one for each credential, all 0 at first. */
export interface StatusList {
  /** Entries. */
  readonly length: number
  readonly statusSize: number
  /** @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where the index is not in the list. */
  get(index: number): number
  /** @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where the index is not in the list or the value too large. */
  set(index: number, value: number): void
  /** The `encodedList` of it. */
  encode(): Promise<string>
}

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_STATUS_LIST_INVALID, `Cannot use the status list: ${why}`)
}

/** The list in a bitstring, which is not copied. @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID`. */
export function statusListOf(bits: Uint8Array, statusSize: number): StatusList {
  checkSize(statusSize)
  const length = Math.floor((bits.length * 8) / statusSize)
  if (length < MIN_STATUS_ENTRIES) refuse(`its ${length} entries are fewer than ${MIN_STATUS_ENTRIES}`)
  const check = (index: number): void => {
    if (!Number.isSafeInteger(index) || index < 0 || index >= length) {
      refuse(`it has the entries 0 to ${length - 1}, and not ${index}`)
    }
  }
  return {
    length,
    statusSize,
    get(index) {
      check(index)
      let value = 0
      // The first bit is the left-most one (Bitstring Status List 1.0, section 3.2).
      for (let bit = index * statusSize; bit < (index + 1) * statusSize; bit++) {
        value = value * 2 + (((bits[bit >>> 3] as number) >>> (7 - (bit & 7))) & 1)
      }
      return value
    },
    set(index, value) {
      check(index)
      if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** statusSize) {
        refuse(`an entry of ${statusSize} bits cannot hold ${value}`)
      }
      for (let i = 0; i < statusSize; i++) {
        const bit = index * statusSize + i
        const mask = 0x80 >>> (bit & 7)
        const byte = bits[bit >>> 3] as number
        bits[bit >>> 3] = (value >>> (statusSize - 1 - i)) & 1 ? byte | mask : byte & ~mask
      }
    },
    encode: () => encodeBitstring(bits)
  }
}

function checkSize(statusSize: number): void {
  if (!Number.isSafeInteger(statusSize) || statusSize < 1 || statusSize > 8) {
    refuse(`a statusSize is 1 to 8 bits, and not ${statusSize}`)
  }
}

/**
 * Makes a list in which nothing is set.
 *
 * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where it would have too few entries to hide one in, or more
 * than its readers inflate.
 */
export function createStatusList(init: StatusListInit = {}): StatusList {
  const { length = MIN_STATUS_ENTRIES, statusSize = 1 } = init
  checkSize(statusSize)
  if (!Number.isSafeInteger(length) || length < MIN_STATUS_ENTRIES || length % 8 !== 0) {
    refuse(`its ${length} entries are not a multiple of 8 of at least ${MIN_STATUS_ENTRIES}`)
  }
  const bytes = (length / 8) * statusSize
  if (bytes > DEFAULT_MAX_STATUS_LIST_BYTES) {
    refuse(`its ${bytes} bytes are more than the ${DEFAULT_MAX_STATUS_LIST_BYTES} that readers inflate`)
  }
  return statusListOf(new Uint8Array(bytes), statusSize)
}

/**
 * Reads an `encodedList`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where it cannot be decoded, is larger than `maxBytes` (default
 * {@link DEFAULT_MAX_STATUS_LIST_BYTES}) or has fewer than {@link MIN_STATUS_ENTRIES} entries.
 */
export async function readStatusList(
  encodedList: string,
  options: { statusSize?: number; maxBytes?: number } = {}
): Promise<StatusList> {
  const { statusSize = 1, maxBytes = DEFAULT_MAX_STATUS_LIST_BYTES } = options
  return statusListOf(await decodeBitstring(encodedList, maxBytes), statusSize)
}

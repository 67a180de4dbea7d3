import { concatBytes, toHex } from './bytes.ts'
import { PUBLIC_KEY_BYTES } from './constants.ts'
import { ERR_IDENTITY_INVALID_KEY, identityError } from './errors.ts'

/**
 * The y coordinates of the eight points of small order (Ed25519, RFC 8032, section 5.1.7), little-endian, the
 * sign bit cleared. With such a key a signature holds for more than one message, and engines differ on it:
 * Node.js 20 accepts what Node.js 24 refuses.
 */
const smallOrder: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
])

/** Why a public key cannot be used, or `undefined` when it can. Whether the point is on the curve shows when it verifies. */
export function publicKeyFault(key: Uint8Array): string | undefined {
  if (key.length !== PUBLIC_KEY_BYTES)
    return `an Ed25519 key has ${PUBLIC_KEY_BYTES} bytes, not ${key.length}`
  const y = concatBytes(key)
  y[31] = (y[31] as number) & 0x7f
  // p = 2^255 - 19: the only numbers of 255 bits that are not below it end in 0xed to 0xff.
  if ((y[0] as number) >= 0xed && y[31] === 0x7f && y.subarray(1, 31).every((byte) => byte === 0xff)) {
    return 'its coordinate is not below the field prime'
  }
  return smallOrder.has(toHex(y)) ? 'its point is of small order' : undefined
}

/**
 * A copy of a public key that can be used.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when it cannot.
 */
export function checkPublicKey(key: Uint8Array): Uint8Array<ArrayBuffer> {
  const fault = publicKeyFault(key)
  if (fault !== undefined) {
    throw identityError(ERR_IDENTITY_INVALID_KEY, `Cannot use the public key: ${fault}`)
  }
  return concatBytes(key)
}

import fc from 'fast-check'
import { base32 } from 'multiformats/bases/base32'
import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'
import { decodeBase32, decodeBase58, encodeBase58 } from '../src/base.ts'

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  // Zeros in front are digits of their own in base58.
  fc
    .tuple(fc.nat(4), fc.uint8Array({ maxLength: 34 }))
    .map(([zeros, rest]) => Uint8Array.from([...Array(zeros).fill(0), ...rest]))
)

function orUndefined(read: () => Uint8Array): Uint8Array | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

test('property: bytes are written as multiformats writes them, and come back', () => {
  fc.assert(
    fc.property(bytes, (value) => {
      expect(`z${encodeBase58(value)}`).toBe(base58btc.encode(value))
      expect(decodeBase58(encodeBase58(value))).toEqual(value)
      expect(decodeBase32(base32.encode(value).slice(1))).toEqual(value)
    })
  )
})

test('property: any text is read, or not, as multiformats reads it', () => {
  const digits = fc.string({
    unit: fc.constantFrom(...'123456789ABCDEFGHJKLabcdefghijkmnop0OIl234567=- ü'),
    maxLength: 12
  })
  fc.assert(
    fc.property(digits, (text) => {
      expect(decodeBase58(text)).toEqual(orUndefined(() => Uint8Array.from(base58btc.decode(`z${text}`))))
      // The other drops padding, and takes capitals too; one value has one text here.
      if (!/[A-Z=]/.test(text))
        expect(decodeBase32(text)).toEqual(orUndefined(() => Uint8Array.from(base32.decode(`b${text}`))))
    }),
    { numRuns: 2000 }
  )
})

import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createWebCryptoEngine, platformEngine, softwareEngine, verifyEd25519 } from '../src/ed25519.ts'
import { checkPublicKey, publicKeyFault } from '../src/public-key.ts'
import { fromHex, toHex } from './hex.ts'
import rfc8032 from './vectors/rfc8032.json' with { type: 'json' }
import wycheproof from './vectors/wycheproof-excerpt.json' with { type: 'json' }

const engines = [
  ['WebCrypto', createWebCryptoEngine(crypto.subtle)],
  ['JavaScript', softwareEngine]
] as const
const { Point } = ed25519
const order = Point.Fn.ORDER
const seed = fromHex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f')
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
// A point of order eight: the first of the two such coordinates.
const torsion = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')

function littleEndian(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, '0')).toReversed()
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.toReversed())}`)
}

test('here WebCrypto knows Ed25519, so the platform engine is not the slow one', async () => {
  expect(await platformEngine()).not.toBe(softwareEngine)
})

describe.each(engines)('%s', (_name, engine) => {
  test.each(rfc8032.vectors)('signs and verifies RFC 8032 with key $publicKey', async (vector) => {
    const message = fromHex(vector.message)
    expect(toHex(await engine.sign(fromHex(vector.seed), message))).toBe(vector.signature)
    expect(await verifyEd25519(fromHex(vector.publicKey), message, fromHex(vector.signature), engine)).toBe(
      true
    )
  })

  test.each(wycheproof.vectors)('judges Wycheproof $tcId ($comment) as $result', async (vector) => {
    const holds = await verifyEd25519(
      fromHex(vector.publicKey),
      fromHex(vector.message),
      fromHex(vector.signature),
      engine
    )
    expect(holds).toBe(vector.result === 'valid')
  })

  test('refuses a signature that holds only times the cofactor', async () => {
    const { scalar } = ed25519.utils.getExtendedPublicKey(seed)
    const key = Point.BASE.multiply(scalar).add(torsion).toBytes()
    const r = 123_456_789n
    const R = Point.BASE.multiply(r).toBytes()
    let crafted = 0
    for (let i = 0; i < 16; i++) {
      const message = Uint8Array.of(i)
      const k = number(sha512(new Uint8Array([...R, ...key, ...message]))) % order
      if (k % 8n === 0n) continue // Then the torsion falls away and the signature is a good one.
      const signature = new Uint8Array([...R, ...littleEndian((r + k * scalar) % order)])
      expect(ed25519.verify(signature, message, key, { zip215: false })).toBe(true)
      expect(await verifyEd25519(key, message, signature, engine)).toBe(false)
      crafted++
    }
    expect(crafted).toBeGreaterThan(8)
  })

  test('refuses a key that is not on the curve', async () => {
    const key = littleEndian(2n)
    expect(() => Point.fromBytes(key, false)).toThrow()
    expect(publicKeyFault(key)).toBe(undefined)
    expect(await verifyEd25519(key, new Uint8Array(), new Uint8Array(64), engine)).toBe(false)
  })

  test('keeps answering rightly when more keys pass than the cache keeps', async () => {
    const message = Uint8Array.of(7)
    const signature = await engine.sign(seed, message)
    const key = ed25519.getPublicKey(seed)
    const others = engine === softwareEngine ? 3 : 1100
    for (let i = 0; i < others; i++) {
      const other = key.slice()
      other[0] = i & 0xff
      other[1] = i >> 8
      if (toHex(other) !== toHex(key))
        expect(await verifyEd25519(other, message, signature, engine)).toBe(false)
    }
    expect(await verifyEd25519(key, message, signature, engine)).toBe(true)
  })
})

test('both engines sign alike and judge each signature, key and message alike, good and spoilt', async () => {
  const message = fc.uint8Array({ maxLength: 200 })
  const spoil = fc.record({ part: fc.constantFrom('none', 'key', 'message', 'signature'), bit: fc.nat() })
  await fc.assert(
    fc.asyncProperty(bytes32, message, spoil, async (seed, message, { part, bit }) => {
      const signature = await softwareEngine.sign(seed, message)
      expect(await engines[0][1].sign(seed, message)).toEqual(signature)
      const input = { key: ed25519.getPublicKey(seed), message, signature }
      if (part !== 'none' && input[part as 'key'].length > 0) {
        const at = bit % (input[part as 'key'].length * 8)
        const spoilt = input[part as 'key'].slice()
        spoilt[at >> 3] = (spoilt[at >> 3] as number) ^ (1 << (at & 7))
        input[part as 'key'] = spoilt
      }
      const answers = []
      for (const [, engine] of engines) {
        answers.push(await verifyEd25519(input.key, input.message, input.signature, engine))
      }
      const unspoilt = part === 'none' || (part === 'message' && message.length === 0)
      expect(answers).toEqual([unspoilt, unspoilt])
    }),
    { numRuns: 60, seed: 8032 }
  )
})

test('refuses each of the points of small order, whatever its sign bit and encoding', async () => {
  const p = 2n ** 255n - 19n
  const small = new Set<bigint>()
  for (let i = 0; i < 8; i++) small.add(torsion.multiplyUnsafe(BigInt(i)).y)
  expect(small.size).toBe(5)
  for (const y of small) {
    for (const encoded of [y, y + p].filter((value) => value < 2n ** 255n)) {
      for (const sign of [0n, 2n ** 255n]) {
        const key = littleEndian(encoded + sign)
        expect(publicKeyFault(key)).toMatch(/small order|field prime/)
        expect(() => checkPublicKey(key)).toThrow(
          expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_KEY' })
        )
        // R = A and S = 0 holds for such a key under lax rules.
        const signature = new Uint8Array([...key, ...new Uint8Array(32)])
        for (const [, engine] of engines) {
          expect(await verifyEd25519(key, Uint8Array.of(1), signature, engine)).toBe(false)
        }
      }
    }
  }
})

test('refuses all coordinates from the field prime on and takes the one below the largest', () => {
  const p = 2n ** 255n - 19n
  for (let y = p; y < 2n ** 255n; y++) expect(publicKeyFault(littleEndian(y))).toBeDefined()
  expect(publicKeyFault(littleEndian(p - 2n))).toBe(undefined)
})

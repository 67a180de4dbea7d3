import { ed25519 } from '@noble/curves/ed25519.js'
import { p256 } from '@noble/curves/nist.js'
import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'
import {
  createIdentity,
  didFromKey,
  didKeyDocument,
  keyFromDid,
  publicKeyFromJwk,
  publicKeyFromMultibase,
  type VerificationMethod
} from '../src/index.ts'
import {
  createDidResolver,
  findVerificationMethod,
  publicKeyOfMethod,
  resolveVerificationMethod
} from '../src/vc/index.ts'
import { fromHex } from './hex.ts'
import vectors from './vectors/did-key.json' with { type: 'json' }

const relationships = [
  'authentication',
  'assertionMethod',
  'capabilityDelegation',
  'capabilityInvocation'
] as const

test.each(vectors.ed25519)("$did is the did:key method's own vector", ({ did, seed, keyAgreement }) => {
  expect(createIdentity({ seed: fromHex(seed) }).did).toBe(did)
  expect(agreementOf(did)).toBe(keyAgreement)
})

test("the example of the method's text", () => {
  // The did:key method, section 1.
  const did = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
  expect(agreementOf(did)).toBe('z6LSj72tK8brWgZja8NLRwPigth2T9QRiG1uH9oKZuKjdh9p')
  const id = `${did}#${did.slice(8)}`
  expect(didKeyDocument(did)).toMatchObject({
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    verificationMethod: [{ id, type: 'Multikey', controller: did, publicKeyMultibase: did.slice(8) }],
    authentication: [id],
    assertionMethod: [id],
    capabilityDelegation: [id],
    capabilityInvocation: [id]
  })
})

test.each(vectors.p256)('$did is the P-256 key that its vector says', ({ did, publicKeyJwk }) => {
  const outcome = publicKeyOfMethod(
    { id: 'did:example:a#1', type: 'JsonWebKey', controller: did, publicKeyJwk },
    0
  )
  expect(outcome.ok && didFromKey(outcome.key)).toBe(did)
  expect(keyFromDid(did).type).toBe('P-256')
  expect(didKeyDocument(did).keyAgreement).toEqual([`${did}#${did.slice(8)}`])
})

test('property: a P-256 key as JWK is the compressed point that noble writes', () => {
  const base64url = (bytes: Uint8Array): string =>
    btoa(String.fromCharCode(...bytes))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replace('=', '')
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), (seed) => {
      const { publicKey } = p256.keygen(seed)
      const whole = p256.Point.fromBytes(publicKey).toBytes(false)
      const [x, y] = [base64url(whole.slice(1, 33)), base64url(whole.slice(33))]
      const key = publicKeyFromJwk({ kty: 'EC', crv: 'P-256', x, y })
      expect(key.bytes).toEqual(publicKey)
      expect(keyFromDid(didFromKey(key))).toEqual(key)
    }),
    { numRuns: 20 }
  )
})

function agreementOf(did: string): string | undefined {
  const [method] = didKeyDocument(did).keyAgreement as VerificationMethod[]
  expect(method).toMatchObject({
    id: `${did}#${method?.publicKeyMultibase}`,
    type: 'Multikey',
    controller: did
  })
  return method?.publicKeyMultibase
}

test('property: the way without a document gives what the document gives', async () => {
  const resolver = createDidResolver()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (seed) => {
      const { did, publicKey } = createIdentity({ seed })
      const { didDocument } = await resolver.resolve(did)
      const id = `${did}#${did.slice(8)}`
      for (const relationship of relationships) {
        const method =
          didDocument === null ? undefined : findVerificationMethod(didDocument, id, relationship)
        const fast = await resolveVerificationMethod(id, relationship, { resolver, now: 0 })
        expect(method && publicKeyOfMethod(method, 0)).toEqual(fast)
        expect(fast.ok && fast.key).toEqual({ type: 'Ed25519', bytes: publicKey })
      }
    }),
    { numRuns: 20 }
  )
})

test('a key that is none is no did:key', async () => {
  const resolver = createDidResolver()
  // y = 2 is on no point of the curve: the document, which needs the point, is refused.
  const noPoint = Uint8Array.from([2, ...new Uint8Array(31)])
  expect(ed25519.utils.isValidPublicKey(noPoint, false)).toBe(false)
  const multibase = (...bytes: number[]) => base58btc.encode(Uint8Array.from(bytes))
  for (const bad of [
    multibase(0xed, 1, ...noPoint),
    multibase(0xed, 1, 1, ...new Uint8Array(31)), // small order
    multibase(0xed, 1, ...new Uint8Array(31).fill(9)), // short
    multibase(0x80, 0x24, 4, ...new Uint8Array(32).fill(9)), // not compressed
    multibase(0x80, 0x24, 2, ...new Uint8Array(32).fill(255)), // above the field prime
    multibase(0xec, 1, ...new Uint8Array(32).fill(9)), // X25519 signs nothing
    multibase(0xe7, 1, 2, ...new Uint8Array(32).fill(9)), // secp256k1
    `z${'2'.repeat(2000)}`,
    'zO0Il',
    ''
  ]) {
    const { didDocument, didResolutionMetadata } = await resolver.resolve(`did:key:${bad}`)
    expect(didDocument).toBeNull()
    expect(didResolutionMetadata.error).toBe('invalidDid')
    expect(() => didKeyDocument(`did:key:${bad}`)).toThrow(
      expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_DID' })
    )
  }
  expect(() => publicKeyFromMultibase('z6Mk')).toThrow(
    expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_KEY' })
  )
  expect(() => didFromKey({ type: 'P-256', bytes: new Uint8Array(33) })).toThrow(
    expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_KEY' })
  )
})

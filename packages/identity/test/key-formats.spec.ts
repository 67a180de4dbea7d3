import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'
import {
  createIdentity,
  createWebCryptoSigner,
  didFromKey,
  open,
  publicKeyFromJwk,
  publicKeyToJwk,
  seal,
  seedFromJwk,
  seedFromLibp2p,
  seedFromMultibase,
  seedToJwk,
  seedToLibp2p,
  seedToMultibase
} from '../src/index.ts'
import { fromHex, toHex } from './hex.ts'

const seed = new Uint8Array(32).fill(7)
const identity = createIdentity({ seed })
const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_SEED' })

test('JWK: the key of RFC 8037, appendix A', () => {
  const jwk = {
    kty: 'OKP',
    crv: 'Ed25519',
    d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
    x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
  }
  const secret = seedFromJwk(jwk)
  expect(toHex(secret)).toBe('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60')
  expect(seedToJwk(secret)).toEqual(jwk)
  const { publicKey, did } = createIdentity({ seed: secret })
  expect(publicKeyToJwk(publicKey)).toEqual({ kty: 'OKP', crv: 'Ed25519', x: jwk.x })
  expect(didFromKey(publicKeyFromJwk(publicKeyToJwk(publicKey)))).toBe(did)
  for (const bad of [
    { ...jwk, kty: 'EC' },
    { ...jwk, crv: 'X25519' },
    { ...jwk, d: jwk.x },
    { ...jwk, d: `${jwk.d}=` },
    { ...jwk, d: jwk.d.slice(1) },
    { kty: 'OKP', crv: 'Ed25519', x: jwk.x },
    { kty: 'OKP', crv: 'Ed25519', d: jwk.d }
  ])
    expect(() => seedFromJwk(bad)).toThrow(invalid)
  expect(() => publicKeyFromJwk(jwk)).toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_KEY' }))
})

test('Multikey: the key pair of the vectors of Data Integrity EdDSA', () => {
  // VC Data Integrity EdDSA 1.0, appendix B.1.
  const secretKeyMultibase = 'z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq'
  const secret = seedFromMultibase(secretKeyMultibase)
  expect(createIdentity({ seed: secret }).did).toBe(
    'did:key:z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2'
  )
  expect(seedToMultibase(secret)).toBe(secretKeyMultibase)
  for (const bad of [
    identity.did.slice(8),
    base58btc.encode(Uint8Array.from([0x80, 0x26, ...seed, 1])),
    secretKeyMultibase.slice(1),
    `z${'2'.repeat(100)}`,
    'zO0Il',
    'z'
  ])
    expect(() => seedFromMultibase(bad)).toThrow(invalid)
})

test('property: each form gives the seed back, in memory of its own', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const raw = seedToLibp2p(bytes)
      const libp2p = { type: 'Ed25519', raw, publicKey: { raw: raw.slice(32) } }
      expect(seedFromLibp2p(libp2p)).toEqual(bytes)
      expect(seedFromMultibase(seedToMultibase(bytes))).toEqual(bytes)
      expect(seedFromJwk(seedToJwk(bytes))).toEqual(bytes)
      seedFromLibp2p(libp2p).fill(0)
      expect(raw.subarray(0, 32)).toEqual(bytes)
    }),
    { numRuns: 20 }
  )
})

test('a libp2p key of another kind, another length or two halves of different keys is refused', () => {
  const raw = seedToLibp2p(seed)
  const publicKey = { raw: identity.publicKey }
  const other = { raw: createIdentity().publicKey }
  for (const bad of [
    { type: 'secp256k1', raw, publicKey },
    { type: 'Ed25519', raw: raw.subarray(1), publicKey },
    { type: 'Ed25519', raw, publicKey: other },
    { type: 'Ed25519', raw: Uint8Array.from([...seed, ...other.raw]), publicKey: other }
  ])
    expect(() => seedFromLibp2p(bad)).toThrow(invalid)
  expect(() => seedToLibp2p(seed.subarray(1))).toThrow(invalid)
  expect(() => seedToMultibase(seed.subarray(1))).toThrow(invalid)
  expect(() => seedToJwk(seed.subarray(1))).toThrow(invalid)
})

test('a key that cannot be exported signs', async () => {
  const pair = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])
  if (!('privateKey' in pair)) throw new Error('no pair')
  const signer = await createWebCryptoSigner(pair)
  signer.publicKey.fill(0)
  const sealed = await seal(signer, 'example/note/1', fromHex('0102'))
  expect((await open(sealed, { context: 'example/note/1' })).signer).toBe(signer.did)
  await expect(crypto.subtle.exportKey('pkcs8', pair.privateKey)).rejects.toThrow()
  const other = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, [
    'sign',
    'verify'
  ])
  await expect(createWebCryptoSigner(other)).rejects.toMatchObject({ code: 'ERR_IDENTITY_INVALID_KEY' })
})

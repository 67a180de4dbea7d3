import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createIdentity,
  createVerifier,
  didFromPeerId,
  didFromPublicKey,
  didKeyResolver,
  parseDid,
  peerIdFromDid,
  peerIdFromPublicKey,
  publicKeyFromDid,
  publicKeyFromPeerId,
  publicKeyFromProtobuf,
  publicKeyToProtobuf,
  seedFromProtobuf,
  seedToProtobuf,
  verify
} from '../src/index.ts'
import { fromHex, toHex } from './hex.ts'
import names from './vectors/names.json' with { type: 'json' }

const invalidDid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_DID' })
const invalidPeerId = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_PEER_ID' })

describe.each(names.vectors)('the names of $peerId', (vector) => {
  const key = fromHex(vector.publicKey)

  test('are those libp2p makes', () => {
    const identity = createIdentity({ seed: fromHex(vector.seed) })
    expect(toHex(identity.publicKey)).toBe(vector.publicKey)
    expect(identity.peerId).toBe(vector.peerId)
    expect(identity.did).toBe(vector.did)
    expect(toHex(seedToProtobuf(identity.exportSeed()))).toBe(vector.privateKeyProtobuf)
    expect(toHex(publicKeyToProtobuf(key))).toBe(vector.publicKeyProtobuf)
  })

  test('lead to each other', () => {
    expect(didFromPublicKey(key)).toBe(vector.did)
    expect(publicKeyFromDid(vector.did)).toEqual(key)
    expect(peerIdFromPublicKey(key)).toBe(vector.peerId)
    expect(publicKeyFromPeerId(vector.peerId)).toEqual(key)
    expect(publicKeyFromPeerId(vector.cid)).toEqual(key)
    expect(peerIdFromDid(vector.did)).toBe(vector.peerId)
    expect(didFromPeerId(vector.peerId)).toBe(vector.did)
    expect(toHex(seedFromProtobuf(fromHex(vector.privateKeyProtobuf)))).toBe(vector.seed)
    expect(publicKeyFromProtobuf(fromHex(vector.publicKeyProtobuf))).toEqual(key)
  })

  test('are found behind every alias', () => {
    const multibase = vector.did.slice('did:key:'.length)
    for (const alias of [
      vector.did,
      vector.peerId,
      vector.cid,
      `did:peer:${vector.peerId}`,
      `did:peer:0${multibase}`
    ]) {
      expect(parseDid(alias)).toBe(vector.did)
    }
  })
})

test('the did:key of the did:key specification has a peer id and comes back', () => {
  const did = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
  expect(didFromPeerId(peerIdFromDid(did))).toBe(did)
})

test('every usable key survives the way through all its names', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      fc.pre((key[31] as number) !== 0x7f && (key[31] as number) !== 0xff && key.some((byte) => byte > 1))
      expect(publicKeyFromPeerId(peerIdFromDid(didFromPublicKey(key)))).toEqual(key)
    })
  )
})

test.each([
  '',
  'did:key:',
  'did:key:z',
  'did:key:z6Mk',
  'did:web:example.org',
  'did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc', // X25519
  'did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169', // P-256
  'did:key:Z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK',
  ' did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK',
  'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK#key-1',
  'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2do0',
  'did:key:z16MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK',
  `did:key:z${'1'.repeat(100_000)}`
])('%.60s is no DID of ours', async (text) => {
  expect(() => publicKeyFromDid(text)).toThrow(invalidDid)
  expect(() => parseDid(text)).toThrow(invalidDid)
  expect(() => createVerifier(text)).toThrow(invalidDid)
  await expect(didKeyResolver.resolve(text)).rejects.toThrow(invalidDid)
  expect(await verify(text, new Uint8Array(), new Uint8Array(64))).toBe(false)
})

test.each([
  '',
  'z',
  'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
  'bafza',
  '16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ',
  '1'.repeat(100_000)
])('%.60s is no peer id of an Ed25519 key', (text) => {
  expect(() => publicKeyFromPeerId(text)).toThrow(invalidPeerId)
  expect(() => didFromPeerId(text)).toThrow(invalidPeerId)
})

test('garbage is never a name', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `did:key:z${text}`)
      ),
      (text) => {
        expect(() => publicKeyFromDid(text)).toThrow(invalidDid)
      }
    )
  )
})

test('keys of the wrong form are refused', () => {
  const code = (name: string): unknown => expect.objectContaining({ code: name })
  const vector = names.vectors[0] as (typeof names.vectors)[0]
  const privateKey = fromHex(vector.privateKeyProtobuf)
  for (const length of [0, 31, 33, 64]) {
    expect(() => createIdentity({ seed: new Uint8Array(length) })).toThrow(code('ERR_IDENTITY_INVALID_SEED'))
    expect(() => didFromPublicKey(new Uint8Array(length))).toThrow(code('ERR_IDENTITY_INVALID_KEY'))
    expect(() => seedFromProtobuf(privateKey.slice(0, length))).toThrow(code('ERR_IDENTITY_INVALID_SEED'))
    expect(() => publicKeyFromProtobuf(new Uint8Array(length))).toThrow(code('ERR_IDENTITY_INVALID_KEY'))
  }
  // Another seed before the same public key.
  privateKey[4] = (privateKey[4] as number) ^ 1
  expect(() => seedFromProtobuf(privateKey)).toThrow(code('ERR_IDENTITY_INVALID_SEED'))
})

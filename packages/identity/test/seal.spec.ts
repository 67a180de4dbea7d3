import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import { deriveSeed } from '../src/phrase/index.ts'
import {
  createEncryptionKey,
  encryptionKeyFromMultibase,
  encryptionKeyOfIdentity,
  encryptionKeyToMultibase,
  openSealed,
  SEAL_OVERHEAD_BYTES,
  sealTo,
  sealToDid
} from '../src/seal/index.ts'
import { createSealSuite, sealKey } from '../src/seal/suite.ts'
import { createWebCryptoX25519, platformX25519, softwareX25519 } from '../src/seal/x25519.ts'
import { fromHex, toHex } from './hex.ts'
import didKey from './vectors/did-key.json' with { type: 'json' }
import vector from './vectors/hpke.json' with { type: 'json' }

const info = 'example/note/1'
const key = createEncryptionKey({ seed: new Uint8Array(32).fill(7) })
const plaintext = new TextEncoder().encode('for one pair of eyes')

const engines = [
  ['WebCrypto', createWebCryptoX25519(crypto.subtle)],
  ['JavaScript', softwareX25519]
] as const

test.each(engines)('%s: RFC 9180 and RFC 7748', async (_name, engine) => {
  const { rfc7748 } = vector
  const shared = await engine.sharedSecret(fromHex(rfc7748.privateKey), fromHex(rfc7748.publicKey))
  expect(toHex(shared)).toBe(rfc7748.shared)
  await expect(engine.sharedSecret(fromHex(rfc7748.privateKey), new Uint8Array(32))).rejects.toThrow()

  const suite = createSealSuite(engine, () => fromHex(vector.skEm))
  const options = { info: fromHex(vector.info), aad: fromHex(vector.aad) }
  const sealed = await suite.Seal(sealKey('public', fromHex(vector.pkRm)), fromHex(vector.pt), options)
  expect(toHex(sealed.encapsulatedSecret)).toBe(vector.enc)
  expect(toHex(sealed.ciphertext)).toBe(vector.ct)
  const privateKey = sealKey('private', fromHex(vector.skRm))
  const opened = await suite.Open(privateKey, fromHex(vector.enc), fromHex(vector.ct), options)
  expect(toHex(opened)).toBe(vector.pt)
  for (const [ikm, secret, publicKey] of [
    [vector.ikmE, vector.skEm, vector.enc],
    [vector.ikmR, vector.skRm, vector.pkRm]
  ] as const) {
    const pair = await suite.DeriveKeyPair(fromHex(ikm), true)
    expect(toHex(pair.privateKey.bytes)).toBe(secret)
    expect(toHex(pair.publicKey.bytes)).toBe(publicKey)
  }
})

test('the platform computes X25519 itself', async () => {
  expect(await platformX25519()).not.toBe(softwareX25519)
})

test('the format: version, ephemeral key, ciphertext', async () => {
  const random = { bytes: () => fromHex(vector.skEm), next: () => 0 }
  const sealed = await sealTo(fromHex(vector.pkRm), plaintext, { info }, { random })
  expect(sealed.length).toBe(plaintext.length + SEAL_OVERHEAD_BYTES)
  expect(toHex(sealed)).toBe(vector.sealed.bytes)
  const owner = createEncryptionKey({ seed: fromHex(vector.skRm) })
  expect(await openSealed(owner, fromHex(vector.sealed.bytes), { info })).toEqual(plaintext)
})

test('property: what is sealed opens, with the same data beside it, and twice is never the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 30 }),
      async (bytes, aad) => {
        const sealed = await sealTo(key.publicKey, bytes, { info, aad })
        expect(await openSealed(key, sealed, { info, aad })).toEqual(bytes)
        expect(await sealTo(key.publicKey, bytes, { info, aad })).not.toEqual(sealed)
      }
    ),
    { numRuns: 20 }
  )
})

test('any changed byte, another key, another purpose or other data beside it: it does not open', async () => {
  const aad = Uint8Array.from([1, 2])
  const sealed = await sealTo(key.publicKey, plaintext, { info, aad })
  const closed = { code: 'ERR_IDENTITY_CANNOT_OPEN' }
  for (let i = 1; i < sealed.length; i++) {
    // The highest bit of the ephemeral key is masked in X25519 (RFC 7748, section 5); it counts all the same.
    await expect(
      openSealed(key, sealed.with(i, (sealed[i] ?? 0) ^ 0x80), { info, aad })
    ).rejects.toMatchObject(closed)
  }
  await expect(openSealed(createEncryptionKey(), sealed, { info, aad })).rejects.toMatchObject(closed)
  await expect(openSealed(key, sealed, { info: 'example/note/2', aad })).rejects.toMatchObject(closed)
  await expect(openSealed(key, sealed, { info })).rejects.toMatchObject(closed)
  await expect(openSealed(key, sealed.subarray(0, -1), { info, aad })).rejects.toMatchObject(closed)
  // An ephemeral key of small order gives a secret that everybody knows.
  await expect(openSealed(key, sealed.fill(0, 1, 33), { info, aad })).rejects.toMatchObject(closed)
})

test('what cannot be sealed bytes, or is too large, is refused before any computation', async () => {
  const sealed = await sealTo(key.publicKey, plaintext, { info })
  const malformed = { code: 'ERR_IDENTITY_SEALED_MALFORMED' }
  await expect(openSealed(key, sealed.with(0, 2), { info })).rejects.toMatchObject(malformed)
  await expect(openSealed(key, sealed.subarray(0, SEAL_OVERHEAD_BYTES - 1), { info })).rejects.toMatchObject(
    malformed
  )
  await expect(openSealed(key, new Uint8Array(), { info })).rejects.toMatchObject(malformed)
  const large = { code: 'ERR_IDENTITY_SEALED_TOO_LARGE' }
  const maxBytes = plaintext.length - 1
  await expect(openSealed(key, sealed, { info, maxBytes })).rejects.toMatchObject(large)
  await expect(sealTo(key.publicKey, plaintext, { info, maxBytes })).rejects.toMatchObject(large)
  await expect(sealTo(key.publicKey, plaintext, { info: 'no version' })).rejects.toMatchObject({
    code: 'ERR_IDENTITY_INVALID_CONTEXT'
  })
  const invalid = { code: 'ERR_IDENTITY_INVALID_KEY' }
  await expect(sealTo(new Uint8Array(32), plaintext, { info })).rejects.toMatchObject(invalid)
  await expect(sealTo(new Uint8Array(31), plaintext, { info })).rejects.toMatchObject(invalid)
})

test('encryption keys: from a seed, as a Multikey, and kept from their callers', async () => {
  const seed = deriveSeed(new Uint8Array(32).fill(1), 'encryption')
  const mine = createEncryptionKey({ seed })
  seed.fill(0)
  mine.publicKey.fill(0)
  mine.exportSeed().fill(0)
  expect(mine.exportSeed()).toEqual(deriveSeed(new Uint8Array(32).fill(1), 'encryption'))
  expect(mine.publicKeyMultibase).toMatch(/^z6LS/)
  expect(encryptionKeyFromMultibase(mine.publicKeyMultibase)).toEqual(mine.publicKey)
  const random = { bytes: (length: number) => new Uint8Array(length).fill(7), next: () => 0 }
  expect(createEncryptionKey({}, { random }).publicKey).toEqual(key.publicKey)
  const identity = createIdentity({ seed: new Uint8Array(32).fill(7) })
  for (const bad of [
    identity.did.slice(8),
    mine.publicKeyMultibase.slice(0, -1),
    'z',
    '',
    `z${'2'.repeat(100)}`,
    'zO0'
  ])
    expect(() => encryptionKeyFromMultibase(bad)).toThrow(
      expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_KEY' })
    )
  expect(() => encryptionKeyToMultibase(new Uint8Array(33))).toThrow('33')
  expect(() => createEncryptionKey({ seed: new Uint8Array(16) })).toThrow('16')
})

test('a text in the place of bytes is named, and is no fault of the key', async () => {
  const text = 'hello' as string & Uint8Array
  const sealed = await sealTo(key.publicKey, plaintext, { info })
  for (const act of [
    () => sealTo(key.publicKey, text, { info }),
    () => sealTo(key.publicKey, plaintext, { info, aad: text }),
    () => openSealed(key, sealed, { info, aad: text })
  ]) {
    await expect(act()).rejects.toThrow(TypeError)
    await expect(act()).rejects.toThrow('has to be a Uint8Array')
  }
})

test('sealed to a bare did:key, its holder opens it', async () => {
  const identity = createIdentity({ seed: new Uint8Array(32).fill(9) })
  const sealed = await sealToDid(identity.did, plaintext, { info })
  expect(await openSealed(encryptionKeyOfIdentity(identity), sealed, { info })).toEqual(plaintext)
  await expect(sealToDid('did:web:example.org', plaintext, { info })).rejects.toMatchObject({
    code: 'ERR_IDENTITY_INVALID_DID'
  })
  const noPoint = `did:key:${base58btc.encode(Uint8Array.from([0xed, 1, 2, ...new Uint8Array(31)]))}`
  await expect(sealToDid(noPoint, plaintext, { info })).rejects.toMatchObject({
    code: 'ERR_IDENTITY_INVALID_DID'
  })
})

test.each(didKey.ed25519)("the did:key method's vectors of the conversion: $did", ({ seed, ...expected }) => {
  const converted = encryptionKeyOfIdentity(createIdentity({ seed: fromHex(seed) }))
  expect(converted.publicKeyMultibase).toBe(expected.keyAgreement)
  expect(base58btc.encode(converted.exportSeed()).slice(1)).toBe(expected.keyAgreementPrivateKeyBase58)
})

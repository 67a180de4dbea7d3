import * as HPKE from 'hpke'
import { expect, test } from 'vitest'
import { createEncryptionKey, openSealed, sealTo } from '../src/seal/index.ts'
import { fromHex } from './hex.ts'
import vector from './vectors/hpke.json' with { type: 'json' }

// The parts the package hpke brings itself; Node.js has ChaCha20-Poly1305, browsers have not.
const suite = new HPKE.CipherSuite(
  HPKE.KEM_DHKEM_X25519_HKDF_SHA256,
  HPKE.KDF_HKDF_SHA256,
  HPKE.AEAD_ChaCha20Poly1305
)
const plaintext = new TextEncoder().encode(vector.sealed.plaintext)
const info = new TextEncoder().encode(`kwaai/seal/1/${vector.sealed.info}`)

test("the package's own parts open what we sealed, and we what they sealed", async () => {
  const pair = await suite.DeriveKeyPair(fromHex(vector.ikmR), true)
  const seed = await suite.SerializePrivateKey(pair.privateKey)
  const key = createEncryptionKey({ seed })
  expect(key.publicKey).toEqual(await suite.SerializePublicKey(pair.publicKey))
  const aad = Uint8Array.from([1, 2, 3])

  const ours = await sealTo(key.publicKey, plaintext, { info: vector.sealed.info, aad })
  expect(await suite.Open(pair, ours.slice(1, 33), ours.slice(33), { info, aad })).toEqual(plaintext)

  const golden = fromHex(vector.sealed.bytes)
  expect(await suite.Open(pair, golden.slice(1, 33), golden.slice(33), { info })).toEqual(plaintext)

  const theirs = await suite.Seal(pair.publicKey, plaintext, { info, aad })
  const sealed = Uint8Array.from([1, ...theirs.encapsulatedSecret, ...theirs.ciphertext])
  expect(await openSealed(key, sealed, { info: vector.sealed.info, aad })).toEqual(plaintext)
})

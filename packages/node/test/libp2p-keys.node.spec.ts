import {
  createIdentity,
  peerIdFromPublicKey,
  seedFromLibp2p,
  seedToLibp2p,
  seedToProtobuf
} from '@kwaai/identity'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyFromRaw } from '@libp2p/crypto/keys'
import { expect, test } from 'vitest'

test('a key of libp2p becomes an identity and comes back, name and signatures the same', async () => {
  const key = await generateKeyPair('Ed25519')
  const identity = createIdentity({ seed: seedFromLibp2p(key) })
  expect(identity.publicKey).toEqual(key.publicKey.raw)
  expect(identity.peerId).toBe(key.publicKey.toString())
  expect(peerIdFromPublicKey(key.publicKey.raw)).toBe(identity.peerId)

  for (const back of [
    privateKeyFromRaw(seedToLibp2p(identity.exportSeed())),
    privateKeyFromProtobuf(seedToProtobuf(identity.exportSeed()))
  ]) {
    expect(back.equals(key)).toBe(true)
    const message = new TextEncoder().encode('hello')
    expect(Uint8Array.from(await back.sign(message))).toEqual(await identity.sign(message))
    expect(await back.publicKey.verify(message, await identity.sign(message))).toBe(true)
  }
})

test('a key of another kind is refused', async () => {
  const key = await generateKeyPair('secp256k1')
  expect(() => seedFromLibp2p(key)).toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_SEED' }))
})

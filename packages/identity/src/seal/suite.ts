import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { type AEAD, CipherSuite, type KDF, type KEM, type Key, LabeledExpand, LabeledExtract } from 'hpke'
import { concatBytes } from '../bytes.ts'
import type { X25519Engine } from './x25519.ts'

/** A key as the parts below hand it to each other. */
export interface SealKey extends Key {
  readonly bytes: Uint8Array
}

/** A key for the suite. */
export function sealKey(type: 'public' | 'private', bytes: Uint8Array): SealKey {
  return { algorithm: { name: 'X25519' }, extractable: true, type, bytes }
}

// HKDF-SHA256 (RFC 9180, section 7.2): hashes of a few bytes, which JavaScript computes sooner than WebCrypto is asked.
const kdf: KDF = {
  id: 0x0001,
  type: 'KDF',
  name: 'HKDF-SHA256',
  Nh: 32,
  stages: 2,
  Extract: async (salt, ikm) => extract(sha256, ikm, salt),
  Expand: async (prk, info, length) => expand(sha256, prk, info, length),
  Derive: async () => new Uint8Array() // For functions of one stage.
}

// ChaCha20-Poly1305 (RFC 9180, section 7.3): browsers' WebCrypto has none.
const aead: AEAD = {
  id: 0x0003,
  type: 'AEAD',
  name: 'ChaCha20Poly1305',
  Nk: 32,
  Nn: 12,
  Nt: 16,
  Seal: async (key, nonce, aad, plaintext) => chacha20poly1305(key, nonce, aad).encrypt(plaintext),
  Open: async (key, nonce, aad, ciphertext) => chacha20poly1305(key, nonce, aad).decrypt(ciphertext)
}

/** DHKEM(X25519, HKDF-SHA256) (RFC 9180, section 4.1), its keys as bytes, its ephemeral keys from `newKey`. */
function createKem(engine: X25519Engine, newKey: () => Uint8Array): KEM<SealKey> {
  const text = (label: string): Uint8Array => new TextEncoder().encode(label)
  const id = 0x0020
  const suiteId = concatBytes(text('KEM'), [id >> 8, id & 0xff])
  const pair = (privateKey: Uint8Array) => ({
    privateKey: sealKey('private', privateKey),
    publicKey: sealKey('public', x25519.getPublicKey(privateKey))
  })
  const extractAndExpand = async (dh: Uint8Array, ...context: Uint8Array[]): Promise<Uint8Array> => {
    const prk = await LabeledExtract(kdf, suiteId, new Uint8Array(), text('eae_prk'), dh)
    return LabeledExpand(kdf, suiteId, prk, text('shared_secret'), concatBytes(...context), 32)
  }
  return {
    id,
    type: 'KEM',
    name: 'DHKEM(X25519, HKDF-SHA256)',
    Nsecret: 32,
    Nenc: 32,
    Npk: 32,
    Nsk: 32,
    DeriveKeyPair: async (ikm) => {
      const prk = await LabeledExtract(kdf, suiteId, new Uint8Array(), text('dkp_prk'), ikm)
      return pair(await LabeledExpand(kdf, suiteId, prk, text('sk'), new Uint8Array(), 32))
    },
    GenerateKeyPair: async () => pair(newKey()),
    SerializePublicKey: async ({ bytes }) => bytes,
    DeserializePublicKey: async (bytes) => sealKey('public', concatBytes(bytes)),
    SerializePrivateKey: async ({ bytes }) => bytes,
    DeserializePrivateKey: async (bytes) => sealKey('private', concatBytes(bytes)),
    Encap: async (recipient) => {
      const { privateKey, publicKey } = pair(newKey())
      const dh = await engine.sharedSecret(privateKey.bytes, recipient.bytes)
      const enc = publicKey.bytes
      return { enc, shared_secret: await extractAndExpand(dh, enc, recipient.bytes) }
    },
    Decap: async (enc, privateKey, publicKey) => {
      const dh = await engine.sharedSecret(privateKey.bytes, enc)
      return extractAndExpand(dh, enc, publicKey?.bytes ?? pair(privateKey.bytes).publicKey.bytes)
    }
  }
}

/** HPKE's DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305: the same in every engine. */
export function createSealSuite(engine: X25519Engine, newKey: () => Uint8Array): CipherSuite<SealKey> {
  return new CipherSuite(
    () => createKem(engine, newKey),
    () => kdf,
    () => aead
  )
}

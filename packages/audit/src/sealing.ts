import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { Random } from '@kwaai/interface'
import { concatBytes, toHex, utf8 } from './bytes.ts'

const nonceBytes = 24

/** A key for one purpose, 32 bytes: HMAC-SHA256 of the purpose under the secret. */
export function deriveKey(secret: Uint8Array, purpose: string): Uint8Array {
  return hmac(sha256, secret, utf8(purpose))
}

/**
 * Encrypts with XChaCha20-Poly1305 under a random nonce of 24 bytes, which stands before the text.
 *
 * @param bound what the bytes belong to; they open together with it alone.
 */
export function sealBytes(key: Uint8Array, bound: Uint8Array, bytes: Uint8Array, random: Random): Uint8Array {
  const nonce = random.bytes(nonceBytes)
  return concatBytes(nonce, xchacha20poly1305(key, nonce, bound).encrypt(bytes))
}

/** Decrypts what {@link sealBytes} made; undefined for everything else. */
export function openBytes(key: Uint8Array, bound: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < nonceBytes + 16) return undefined
  try {
    return xchacha20poly1305(key, sealed.subarray(0, nonceBytes), bound).decrypt(sealed.subarray(nonceBytes))
  } catch {
    return undefined
  }
}

/** The key that makes the tags of one person's entries: with it, and only with it, they are seen to be one person's. */
export function tagKeyOf(secret: Uint8Array): Uint8Array {
  return deriveKey(secret, 'kwaai/audit/tag/1')
}

/** The tag of the entry `seq`, 32 hexadecimal digits: another one for each entry. */
export function entryTag(tagKey: Uint8Array, seq: number): string {
  return toHex(hmac(sha256, tagKey, utf8(String(seq))).subarray(0, 16))
}

/** What an entry says of its data: HMAC-SHA256 under the salt, in hexadecimal. Without the salt it tells nothing. */
export function commitmentOf(salt: Uint8Array, data: Uint8Array): string {
  return toHex(hmac(sha256, salt, data))
}

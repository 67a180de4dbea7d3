import { quickestEngine } from '#platform'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { isBytes } from '@noble/hashes/utils.js'
import { concatBytes, equalBytes, toHex } from './bytes.ts'
import { SIGNATURE_BYTES } from './constants.ts'
import { keptByKey } from './kept-by-key.ts'
import { publicKeyFault } from './public-key.ts'

/** A way to compute Ed25519. Both engines give the same answers; they differ in speed. */
export interface Ed25519Engine {
  sign(seed: Uint8Array, message: Uint8Array): Promise<Uint8Array>
  /** The public key and the signature have passed the checks of {@link verifyEd25519}. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

/** The group order L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032, section 5.1). */
const order: bigint = ed25519.Point.Fn.ORDER

function scalar(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.toReversed())}`)
}

/**
 * Ed25519 in JavaScript, about ten times slower than WebCrypto. Verification is the unbatched equation of
 * RFC 8032, section 5.1.7, without the cofactor: R must be the very bytes of S·B − k·A. OpenSSL and BoringSSL
 * compute it so; @noble/curves' own `verify` multiplies by the cofactor, and would let two nodes disagree on a
 * signature that its signer crafted for it.
 */
export const softwareEngine: Ed25519Engine = {
  sign: async (seed, message) => ed25519.sign(message, seed),
  verify: async (publicKey, message, signature) => {
    const { Point } = ed25519
    const R = signature.subarray(0, 32)
    let A
    try {
      A = Point.fromBytes(publicKey, false)
    } catch {
      return false // Not on the curve.
    }
    const k = scalar(sha512(concatBytes(R, publicKey, message))) % order
    const expected = Point.BASE.multiplyUnsafe(scalar(signature.subarray(32))).subtract(A.multiplyUnsafe(k))
    return equalBytes(expected.toBytes(), R)
  }
}

// PKCS #8 of an Ed25519 seed is this and the seed (RFC 8410, section 7).
const pkcs8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]

type Subtle = typeof globalThis.crypto.subtle

/** A key of WebCrypto. */
export type WebCryptoKey = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>

/** Ed25519 by the platform's WebCrypto, with its imported keys kept. */
export function createWebCryptoEngine(subtle: Subtle): Ed25519Engine {
  const privateKeys = new WeakMap<Uint8Array, Promise<WebCryptoKey>>()
  const publicKey = keptByKey((bytes) =>
    subtle.importKey('raw', concatBytes(bytes), 'Ed25519', false, ['verify'])
  )
  return {
    sign: async (seed, message) => {
      let key = privateKeys.get(seed)
      if (key === undefined) {
        key = subtle.importKey('pkcs8', concatBytes(pkcs8, seed), 'Ed25519', false, ['sign'])
        privateKeys.set(seed, key)
      }
      return new Uint8Array(await subtle.sign('Ed25519', await key, concatBytes(message)))
    },
    verify: async (bytes, message, signature) => {
      let key
      try {
        key = await publicKey(bytes)
      } catch {
        return false // Some engines refuse a point that is not on the curve here.
      }
      return subtle.verify('Ed25519', key, concatBytes(signature), concatBytes(message))
    }
  }
}

// Key pair and signature of RFC 8032, section 7.1, test 1: what an engine has to get right to be used.
const probe = {
  seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
  signature:
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'
}

async function chooseEngine(): Promise<Ed25519Engine> {
  const subtle = globalThis.crypto?.subtle
  if (subtle === undefined) return softwareEngine // A page without TLS has no WebCrypto.
  const engine = createWebCryptoEngine(subtle)
  try {
    const seed = Uint8Array.from(probe.seed.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
    const signature = await engine.sign(seed, new Uint8Array())
    return toHex(signature) === probe.signature ? await quickestEngine(engine) : softwareEngine
  } catch {
    return softwareEngine // WebCrypto without Ed25519: Chrome before 137, Firefox before 129.
  }
}

let chosen: Promise<Ed25519Engine> | undefined

/** WebCrypto where it knows Ed25519, in Node.js its own for short messages, else JavaScript. */
export function platformEngine(): Promise<Ed25519Engine> {
  chosen ??= chooseEngine()
  return chosen
}

/** The public key of a seed, 32 bytes. */
export function publicKeyOfSeed(seed: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(seed)
}

/**
 * Whether an Ed25519 signature holds. Refused before any engine sees them: what is no bytes, keys that are not canonical
 * or of small order, signatures of another length than 64 bytes, and S not below the group order.
 */
export async function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  engine?: Ed25519Engine
): Promise<boolean> {
  if (![publicKey, message, signature].every(isBytes) || publicKeyFault(publicKey) !== undefined) return false
  if (signature.length !== SIGNATURE_BYTES || scalar(signature.subarray(32)) >= order) return false
  return (engine ?? (await platformEngine())).verify(publicKey, message, signature)
}

import { x25519 } from '@noble/curves/ed25519.js'
import { concatBytes, toHex } from '../bytes.ts'

/** A way to compute X25519 (RFC 7748). Both throw where the result is all zeros, as RFC 9180, section 7.1.4 asks. */
export interface X25519Engine {
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Promise<Uint8Array>
}

/** X25519 in JavaScript, about ten times slower than WebCrypto. */
export const softwareX25519: X25519Engine = {
  sharedSecret: async (privateKey, publicKey) => x25519.getSharedSecret(privateKey, publicKey)
}

// PKCS #8 of an X25519 private key is this and the key (RFC 8410, section 7).
const pkcs8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20]

/** X25519 by the platform's WebCrypto. */
export function createWebCryptoX25519(subtle: typeof globalThis.crypto.subtle): X25519Engine {
  return {
    sharedSecret: async (privateKey, publicKey) => {
      const own = await subtle.importKey('pkcs8', concatBytes(pkcs8, privateKey), 'X25519', false, [
        'deriveBits'
      ])
      const theirs = await subtle.importKey('raw', concatBytes(publicKey), 'X25519', false, [])
      return new Uint8Array(await subtle.deriveBits({ name: 'X25519', public: theirs }, own, 256))
    }
  }
}

// What an engine has to get right to be used: the keys of RFC 7748, section 6.1.
const probe = {
  privateKey: '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
  publicKey: 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
  shared: '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
}

async function choose(): Promise<X25519Engine> {
  const subtle = globalThis.crypto?.subtle
  if (subtle === undefined) return softwareX25519 // A page without TLS has no WebCrypto.
  const engine = createWebCryptoX25519(subtle)
  try {
    const bytes = (hex: string) =>
      Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
    const shared = await engine.sharedSecret(bytes(probe.privateKey), bytes(probe.publicKey))
    return toHex(shared) === probe.shared ? engine : softwareX25519
  } catch {
    return softwareX25519 // WebCrypto without X25519: Chrome before 133, Firefox before 130.
  }
}

let chosen: Promise<X25519Engine> | undefined

/** WebCrypto where it knows X25519, else JavaScript. */
export function platformX25519(): Promise<X25519Engine> {
  chosen ??= choose()
  return chosen
}

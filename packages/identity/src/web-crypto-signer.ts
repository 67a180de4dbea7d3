import type { Signer } from '@kwaai/interface'
import { concatBytes } from './bytes.ts'
import { didFromPublicKey } from './did.ts'
import type { WebCryptoKey } from './ed25519.ts'
import { ERR_IDENTITY_INVALID_KEY, identityError } from './errors.ts'

/** An Ed25519 key pair of WebCrypto, as `crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])` makes it. */
export interface WebCryptoKeyPair {
  privateKey: WebCryptoKey
  publicKey: WebCryptoKey
}

/**
 * A signer over a key pair of WebCrypto. The private key may be one that cannot be exported: then no program on this
 * machine can copy it, and there is no phrase for it either.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the keys are not of Ed25519, or the public one is not usable.
 */
export async function createWebCryptoSigner(pair: WebCryptoKeyPair): Promise<Signer> {
  const { privateKey, publicKey } = pair
  if (privateKey.algorithm.name !== 'Ed25519' || publicKey.algorithm.name !== 'Ed25519') {
    throw identityError(ERR_IDENTITY_INVALID_KEY, 'Cannot use the key pair: it is not one of Ed25519')
  }
  const { subtle } = globalThis.crypto
  const raw = new Uint8Array(await subtle.exportKey('raw', publicKey))
  return {
    did: didFromPublicKey(raw),
    get publicKey() {
      return raw.slice()
    },
    sign: async (message) => new Uint8Array(await subtle.sign('Ed25519', privateKey, concatBytes(message)))
  }
}

import type { PeerId, Random, Signer } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { SEED_BYTES } from './constants.ts'
import { didFromPublicKey, peerIdFromPublicKey } from './did.ts'
import { platformEngine, publicKeyOfSeed } from './ed25519.ts'
import { checkSeed } from './key-protobuf.ts'

/** What an identity is made of. */
export interface IdentityInit {
  /** The Ed25519 seed, 32 bytes. A new one from the randomness when left out. */
  seed?: Uint8Array
}

/** What an identity needs. */
export interface IdentityComponents {
  /** Where a new seed comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

/** A key pair with its names: signs for one did:key, which is also one peer id. */
export interface Identity extends Signer {
  readonly peerId: PeerId
  /** A copy of the seed, 32 bytes. Secret: whoever has it is this identity. */
  exportSeed(): Uint8Array
}

/**
 * Makes an identity, new or from a seed.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the seed has not 32 bytes.
 */
export function createIdentity(init: IdentityInit = {}, components: IdentityComponents = {}): Identity {
  const seed = checkSeed(init.seed ?? (components.random ?? systemRandom).bytes(SEED_BYTES))
  const publicKey = publicKeyOfSeed(seed)
  return {
    did: didFromPublicKey(publicKey),
    peerId: peerIdFromPublicKey(publicKey),
    get publicKey() {
      return publicKey.slice()
    },
    sign: async (message) => (await platformEngine()).sign(seed, message),
    exportSeed: () => seed.slice()
  }
}

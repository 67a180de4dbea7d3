import type { Did, Resolver, Verifier } from '@kwaai/interface'
import { publicKeyFromDid } from './did.ts'
import { verifyEd25519 } from './ed25519.ts'

/**
 * Whether a signature over a message is the signer's. The signer is a did:key or a raw public key (32 bytes).
 * False, never an error, for whatever is malformed: an attacker chooses these bytes.
 */
export async function verify(
  signer: Did | Uint8Array,
  message: Uint8Array,
  signature: Uint8Array
): Promise<boolean> {
  let key: Uint8Array
  try {
    key = typeof signer === 'string' ? publicKeyFromDid(signer) : signer
  } catch {
    return false
  }
  return verifyEd25519(key, message, signature)
}

/**
 * The verifier of one did:key.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` when it is not the did:key of a usable Ed25519 key.
 */
export function createVerifier(did: Did): Verifier {
  const key = publicKeyFromDid(did)
  return { did, verify: (message, signature) => verifyEd25519(key, message, signature) }
}

/**
 * Resolves did:key without asking anybody: the key is in the name. Its promise rejects with a KwaaiError
 * `ERR_IDENTITY_INVALID_DID` for every other DID.
 */
export const didKeyResolver: Resolver = {
  resolve: async (did, options = {}) => {
    options.signal?.throwIfAborted()
    return createVerifier(did)
  }
}

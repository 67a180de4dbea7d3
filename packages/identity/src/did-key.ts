import type { Did } from '@kwaai/interface'
import { ed25519 } from '@noble/curves/ed25519.js'
import { encodeBase58 } from './base.ts'
import { concatBytes } from './bytes.ts'
import { X25519_MULTICODEC } from './constants.ts'
import type { DidDocument, DidMethods, VerificationMethod } from './did-document.ts'
import { failedResolution } from './did-url.ts'
import { ERR_IDENTITY_INVALID_DID, identityError } from './errors.ts'
import { decodeMultikey, type PublicKey, publicKeyToMultibase } from './multikey.ts'
import { shown } from './shown.ts'

const prefix = 'did:key:'

/**
 * The did:key of a public key: `did:key:z6Mk…` for Ed25519, `did:key:zDn…` for P-256.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the key is not usable.
 */
export function didFromKey(key: PublicKey): Did {
  return `${prefix}${publicKeyToMultibase(key)}`
}

/**
 * The public key in a did:key.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` when it is not the did:key of a usable Ed25519 or P-256 key.
 */
export function keyFromDid(did: Did): PublicKey {
  const key = did.startsWith(prefix) ? decodeMultikey(did.slice(prefix.length)) : undefined
  if (key === undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_DID,
      `Cannot read the DID: "${shown(did)}" is not the did:key of a usable Ed25519 or P-256 key`
    )
  }
  return key
}

/**
 * The document of a did:key, which its name alone says (the did:key method, document creation algorithm). The key is
 * for every relationship; for the agreement of keys the Ed25519 key stands as its X25519 form, and a P-256 key itself.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` when it is not the did:key of a usable Ed25519 or P-256 key.
 */
export function didKeyDocument(did: Did): DidDocument {
  const key = keyFromDid(did)
  const method = multikeyMethod(did, did.slice(prefix.length))
  const uses = (): string[] => [method.id]
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    verificationMethod: [method],
    authentication: uses(),
    assertionMethod: uses(),
    capabilityDelegation: uses(),
    capabilityInvocation: uses(),
    keyAgreement: key.type === 'P-256' ? uses() : [multikeyMethod(did, agreementMultibase(did, key.bytes))]
  }
}

function multikeyMethod(did: Did, publicKeyMultibase: string): VerificationMethod {
  return { id: `${did}#${publicKeyMultibase}`, type: 'Multikey', controller: did, publicKeyMultibase }
}

/** The X25519 form of an Ed25519 key (RFC 7748, section 4.1). */
function agreementMultibase(did: Did, publicKey: Uint8Array): string {
  let u: Uint8Array
  try {
    u = ed25519.utils.toMontgomery(publicKey)
  } catch (cause) {
    throw identityError(
      ERR_IDENTITY_INVALID_DID,
      `Cannot read the DID: the key in "${shown(did)}" is not a point of the curve`,
      { cause: String(cause) }
    )
  }
  return `z${encodeBase58(concatBytes(X25519_MULTICODEC, u))}`
}

/** The method did:key, for `createDidResolver` of `@kwaai/identity/vc` (which has it) and for the package `did-resolver`. */
export const didKeyMethods: DidMethods = {
  key: async (did, _parsed, _resolver, options) => {
    options.signal?.throwIfAborted()
    try {
      return {
        didResolutionMetadata: { contentType: 'application/did+ld+json' },
        didDocument: didKeyDocument(did),
        didDocumentMetadata: {}
      }
    } catch (error) {
      return failedResolution('invalidDid', error)
    }
  }
}

/**
 * Accountable identities: an Ed25519 key, its names (did:key and libp2p peer id, one made from the other),
 * signatures that every engine judges alike, and the signed envelope in which all rooms of Kwaai sign.
 *
 * ```ts
 * import { createIdentity, open, seal } from '@kwaai/identity'
 *
 * const alice = createIdentity()
 * const bytes = await seal(alice, 'example/note/1', new TextEncoder().encode('hello'))
 * const { payload, signer } = await open(bytes, { context: 'example/note/1' })
 * console.log(new TextDecoder().decode(payload), signer === alice.did) // hello true
 * ```
 *
 * @packageDocumentation
 */
export { createIdentity, type Identity, type IdentityComponents, type IdentityInit } from './identity.ts'
export {
  didFromPeerId,
  didFromPublicKey,
  parseDid,
  peerIdFromDid,
  peerIdFromPublicKey,
  publicKeyFromDid,
  publicKeyFromPeerId
} from './did.ts'
export { createVerifier, didKeyResolver, verify } from './verify.ts'
export { open, seal, type OpenedEnvelope, type OpenEnvelopeOptions, type SealOptions } from './envelope.ts'
export {
  canonicalizeJson,
  checkJson,
  parseJson,
  type JsonObject,
  type JsonValue,
  type ParseJsonOptions
} from './json.ts'
export { didFromKey, didKeyDocument, didKeyMethods, keyFromDid } from './did-key.ts'
export type {
  ContextEntry,
  DidDocument,
  DidMethod,
  DidMethods,
  DidResolutionOptions,
  DidResolutionResult,
  DidResolver,
  ParsedDid,
  ServiceEndpoint,
  VerificationMethod,
  VerificationRelationship
} from './did-document.ts'
export { publicKeyFromMultibase, publicKeyToMultibase, type PublicKey } from './multikey.ts'
export {
  type Ed25519Jwk,
  type Libp2pKey,
  publicKeyFromJwk,
  publicKeyToJwk,
  seedFromJwk,
  seedFromLibp2p,
  seedFromMultibase,
  seedToJwk,
  seedToLibp2p,
  seedToMultibase
} from './key-formats.ts'
export { createWebCryptoSigner, type WebCryptoKeyPair } from './web-crypto-signer.ts'
export type { WebCryptoKey } from './ed25519.ts'
export {
  publicKeyFromProtobuf,
  publicKeyToProtobuf,
  seedFromProtobuf,
  seedToProtobuf
} from './key-protobuf.ts'
export {
  ERR_IDENTITY_BAD_SIGNATURE,
  ERR_IDENTITY_ENVELOPE_MALFORMED,
  ERR_IDENTITY_ENVELOPE_TOO_LARGE,
  ERR_IDENTITY_INVALID_CONTEXT,
  ERR_IDENTITY_INVALID_CREDENTIAL,
  ERR_IDENTITY_INVALID_DID,
  ERR_IDENTITY_INVALID_JSON,
  ERR_IDENTITY_INVALID_KEY,
  ERR_IDENTITY_INVALID_PEER_ID,
  ERR_IDENTITY_INVALID_SEED,
  ERR_IDENTITY_WRONG_CONTEXT,
  type IdentityErrorCode
} from './errors.ts'
export {
  DEFAULT_MAX_ENVELOPE_BYTES,
  MAX_CONTEXT_BYTES,
  PUBLIC_KEY_BYTES,
  SEED_BYTES,
  SIGNATURE_BYTES
} from './constants.ts'

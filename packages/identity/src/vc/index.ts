/**
 * W3C credentials that verify only when every part of the promise holds.
 *
 * @packageDocumentation
 */
export type * from './types.ts'
export type * from '../data-integrity/types.ts'
export { addProof } from '../data-integrity/add-proof.ts'
export { verifyProofs } from '../data-integrity/verify-proofs.ts'
export { eddsaJcs2022 } from '../data-integrity/eddsa-jcs.ts'
export { bundledContexts } from '../contexts/bundled.ts'
export { KWAAI_CONTEXT } from '../contexts/kwaai-v2.ts'
export {
  networkCredential,
  readNetworkCredential,
  type NetworkCredential,
  type NetworkCredentialInit,
  type ReadNetworkCredential
} from './network-types/network-credential.ts'
export type * from './network-types/claims.ts'
export {
  verifyKwaaiLegacy,
  type KwaaiLegacyResult,
  type VerifyKwaaiLegacyOptions
} from './network-types/kwaai-legacy.ts'
export { ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID } from '../errors.ts'

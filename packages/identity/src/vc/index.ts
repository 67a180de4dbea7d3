/**
 * W3C credentials that verify only when every part of the promise holds: structure and terms, every proof, that the
 * issuer controls the key, the period, the status, schemas, who may issue, and about whom it is.
 *
 * ```ts
 * import { createIdentity } from '@kwaai/identity'
 * import { issue, present, verify, verifyPresentation } from '@kwaai/identity/vc'
 *
 * const issuer = createIdentity()
 * const alice = createIdentity()
 * const credential = await issue(
 *   {
 *     '@context': ['https://www.w3.org/ns/credentials/v2', 'https://www.w3.org/ns/credentials/examples/v2'],
 *     type: ['VerifiableCredential'],
 *     credentialSubject: { id: alice.did, role: 'librarian' }
 *   },
 *   issuer
 * )
 * const { ok, checks } = await verify(credential)
 * console.log(ok, checks.length) // true 8
 *
 * const shown = await present([credential], alice, { challenge: 'c-1', domain: 'example.org' })
 * console.log((await verifyPresentation(shown, { challenge: 'c-1', domain: 'example.org' })).ok) // true
 * ```
 *
 * @packageDocumentation
 */
export type * from './types.ts'
export type * from '../data-integrity/types.ts'
export { issue, type IssuedCredential, type IssueOptions } from './issue.ts'
export { verify } from './verify.ts'
export { present, signPresentation, type PresentOptions, type SignedPresentation } from './present.ts'
export { verifyPresentation, type VerifyPresentationOptions } from './verify-presentation.ts'
export {
  createReplayGuard,
  type ReplayGuard,
  type ReplayGuardComponents,
  type ReplayGuardInit
} from './replay-guard.ts'
export { checkTerms, type ExtraContexts } from './terms.ts'
export type { TermFault } from './active-context.ts'
export { addProof } from '../data-integrity/add-proof.ts'
export { verifyProofs } from '../data-integrity/verify-proofs.ts'
export { eddsaJcs2022 } from '../data-integrity/eddsa-jcs.ts'
export { createDidResolver, type DidResolverComponents, type DidResolverInit } from '../did-resolver.ts'
export {
  createDidWebMethods,
  didWebUrl,
  type DidFetch,
  type DidWebComponents,
  type DidWebInit
} from '../did-web.ts'
export {
  findVerificationMethod,
  publicKeyOfMethod,
  resolveVerificationMethod,
  type MethodFault,
  type MethodOutcome,
  type ResolveMethodOptions
} from '../verification-method.ts'
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
export { verifyBinding, type BindingResult } from './network-types/binding.ts'
export { verifyRotation, type RotationResult, type VerifyRotationOptions } from './network-types/rotation.ts'
export {
  verifyKwaaiLegacy,
  type KwaaiLegacyResult,
  type VerifyKwaaiLegacyOptions
} from './network-types/kwaai-legacy.ts'
export { ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID } from '../errors.ts'
export { ERR_IDENTITY_INVALID_PROOF } from '../errors.ts'

import { verify } from '../vc/verify.ts'
import { verifyPresentation, type VerifyPresentationOptions } from '../vc/verify-presentation.ts'
import type {
  Credential,
  Presentation,
  VerifyOptions,
  VerifyPresentationResult,
  VerifyResult
} from '../vc/types.ts'
import { createForeignProofVerifier } from './foreign-proofs.ts'

/** Suites as `@digitalbazaar/vc` takes them. */
export interface ForeignSuites {
  /** Default: `DataIntegrityProof` with `eddsa-rdfc-2022`, of the optional peers. */
  foreignSuites?: readonly object[]
}

/**
 * Verifies a credential of somebody else: `@digitalbazaar/vc` verifies the proofs of suites that are not ours, and
 * every other check is ours. So what that package lets pass does not: a credential that is revoked, proofs of suites
 * that it was not given, keys of another than the issuer.
 *
 * @throws A KwaaiError `ERR_IDENTITY_MISSING_PEER`, or the signal's reason when it aborts.
 */
export function verifyForeignCredential(
  credential: Credential | string | Uint8Array,
  options: VerifyOptions & ForeignSuites = {}
): Promise<VerifyResult> {
  return verify(credential, { ...options, proofVerifier: createForeignProofVerifier(options) })
}

/**
 * Verifies a presentation of somebody else, as {@link verifyForeignCredential} does a credential: the holder has to
 * have signed, and each credential has to be about the holder unless the caller says otherwise.
 *
 * @throws A KwaaiError `ERR_IDENTITY_MISSING_PEER`, or the signal's reason when it aborts.
 */
export function verifyForeignPresentation(
  presentation: Presentation | string | Uint8Array,
  options: VerifyPresentationOptions & ForeignSuites = {}
): Promise<VerifyPresentationResult> {
  return verifyPresentation(presentation, { ...options, proofVerifier: createForeignProofVerifier(options) })
}

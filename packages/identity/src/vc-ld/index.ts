/**
 * Linked data for credentials: proofs under `eddsa-rdfc-2022` and credentials of others, through packages that are
 * optional peers. Contexts are bundled or given and never fetched.
 *
 * ```ts
 * import { createIdentity } from '@kwaai/identity'
 * import { addProof } from '@kwaai/identity/vc'
 * import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
 *
 * const alice = createIdentity()
 * const credential = {
 *   '@context': ['https://www.w3.org/ns/credentials/v2'],
 *   type: ['VerifiableCredential'],
 *   issuer: alice.did,
 *   credentialSubject: { id: 'did:example:bob', name: 'Bob' }
 * }
 * const suite = createEddsaRdfc2022()
 * const { proof } = await addProof(credential, { signer: alice, suite, created: 1_800_000_000_000 })
 * console.log(proof)
 * ```
 *
 * @packageDocumentation
 */
export { createEddsaRdfc2022, type EddsaRdfcInit } from './eddsa-rdfc.ts'
export type { KnownContexts } from './contexts.ts'
export { verifyForeignCredential, verifyForeignPresentation, type ForeignSuites } from './foreign.ts'
export { createForeignProofVerifier, type ForeignProofsInit } from './foreign-proofs.ts'
export { ERR_IDENTITY_MISSING_PEER, ERR_IDENTITY_NOT_CANONICAL } from '../errors.ts'

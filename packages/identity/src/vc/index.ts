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

import { decodeBase58, encodeBase58 } from '../base.ts'
import { SIGNATURE_BYTES } from '../constants.ts'

// 64 bytes are 64 (all zero) to 88 characters.
const pattern = /^z[1-9A-HJ-NP-Za-km-z]{64,88}$/

/** A signature as `proofValue` has it: multibase, base58btc (DI EdDSA 1.0, section 2.2.1). */
export function encodeProofValue(signature: Uint8Array): string {
  return `z${encodeBase58(signature)}`
}

/** The 64 bytes of a `proofValue`, or `undefined` when it is not their one encoding. */
export function decodeProofValue(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string' || !pattern.test(text)) return undefined
  const bytes = decodeBase58(text.slice(1))
  return bytes?.length === SIGNATURE_BYTES ? bytes : undefined
}

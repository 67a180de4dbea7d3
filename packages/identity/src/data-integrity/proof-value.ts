import { base58btc } from 'multiformats/bases/base58'
import { SIGNATURE_BYTES } from '../constants.ts'

// 64 bytes are 64 (all zero) to 88 characters. The decoder beneath would let spaces pass.
const pattern = /^z[1-9A-HJ-NP-Za-km-z]{64,88}$/

/** A signature as `proofValue` has it: multibase, base58btc (DI EdDSA 1.0, section 2.2.1). */
export function encodeProofValue(signature: Uint8Array): string {
  return base58btc.encode(signature)
}

/** The 64 bytes of a `proofValue`, or `undefined` when it is not their one encoding. */
export function decodeProofValue(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string' || !pattern.test(text)) return undefined
  const bytes = base58btc.decode(text)
  return bytes.length === SIGNATURE_BYTES ? bytes : undefined
}

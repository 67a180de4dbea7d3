import type { Did, Signer } from '@kwaai/interface'
import { concatBytes } from './bytes.ts'
import { DEFAULT_MAX_ENVELOPE_BYTES, MAX_CONTEXT_BYTES } from './constants.ts'
import { didFromPublicKey, publicKeyFromSignerBytes, signerBytes } from './did.ts'
import { verifyEd25519 } from './ed25519.ts'
import { decodeEnvelope, encodeEnvelope, signedBytes } from './envelope-codec.ts'
import {
  ERR_IDENTITY_BAD_SIGNATURE,
  ERR_IDENTITY_ENVELOPE_MALFORMED,
  ERR_IDENTITY_ENVELOPE_TOO_LARGE,
  ERR_IDENTITY_INVALID_CONTEXT,
  ERR_IDENTITY_WRONG_CONTEXT,
  identityError
} from './errors.ts'

/** How large an envelope may be. */
export interface SealOptions {
  /** Largest envelope in bytes. Default 1 MiB; never above 256 MiB. */
  maxBytes?: number
}

/** What an envelope has to be. */
export interface OpenEnvelopeOptions extends SealOptions {
  /** The only context accepted, such as `kwaai/record/1`. */
  context: string
}

/** What a valid envelope held. */
export interface OpenedEnvelope {
  /** The bytes that were signed, in memory the caller owns. */
  payload: Uint8Array
  /** Who signed them. */
  signer: Did
}

// The length of a field has at most four groups of seven bits.
const hardLimit = 2 ** 28 - 1

/**
 * Signs a payload for one context and packs both with the signer's name and the signature.
 * The format is `proto/envelope.proto`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CONTEXT` when the context is not lower-case segments and a version,
 * `ERR_IDENTITY_ENVELOPE_TOO_LARGE` when the envelope would be above the limit, `ERR_IDENTITY_BAD_SIGNATURE` when
 * the signer does not sign with the key it names.
 */
export async function seal(
  signer: Signer,
  context: string,
  payload: Uint8Array,
  options: SealOptions = {}
): Promise<Uint8Array> {
  checkContext(context)
  checkSize(payload.length, options, 'seal')
  // A copy, so that the caller's later writes do not part the signature from the bytes.
  const fields = { payload: concatBytes(payload), context, signer: signerBytes(signer.publicKey) }
  const message = signedBytes(context, fields.signer, fields.payload)
  const signature = concatBytes(await signer.sign(message))
  if (!(await verifyEd25519(signer.publicKey, message, signature))) {
    throw identityError(
      ERR_IDENTITY_BAD_SIGNATURE,
      'Cannot seal the envelope: the signer does not sign with the key it names'
    )
  }
  const bytes = encodeEnvelope({ ...fields, signature })
  checkSize(bytes.length, options, 'seal')
  return bytes
}

/**
 * Opens an envelope: its size, its form, its context and its signature have to be right.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CONTEXT` when the context asked for is not one,
 * `ERR_IDENTITY_ENVELOPE_TOO_LARGE`, `ERR_IDENTITY_ENVELOPE_MALFORMED`, `ERR_IDENTITY_WRONG_CONTEXT` or
 * `ERR_IDENTITY_BAD_SIGNATURE` when the bytes are not a valid envelope of that context.
 */
export async function open(bytes: Uint8Array, options: OpenEnvelopeOptions): Promise<OpenedEnvelope> {
  checkContext(options.context)
  checkSize(bytes.length, options, 'open')
  const { payload, context, signer, signature } = decodeEnvelope(bytes)
  const key = publicKeyFromSignerBytes(signer)
  if (key === undefined) {
    throw identityError(
      ERR_IDENTITY_ENVELOPE_MALFORMED,
      'Cannot open the envelope: its signer is not a usable Ed25519 key'
    )
  }
  if (context !== options.context) {
    throw identityError(
      ERR_IDENTITY_WRONG_CONTEXT,
      `Cannot open the envelope: it was not signed for the context "${options.context}"`
    )
  }
  if (!(await verifyEd25519(key, signedBytes(context, signer, payload), signature))) {
    throw identityError(ERR_IDENTITY_BAD_SIGNATURE, 'Cannot open the envelope: its signature does not hold')
  }
  return { payload, signer: didFromPublicKey(key) }
}

/** Holds a context to its form: lower-case segments and a version. */
export function checkContext(context: string): void {
  if (context.length > MAX_CONTEXT_BYTES || !/^(?:[a-z0-9][a-z0-9._-]*\/)+[0-9]+$/.test(context)) {
    throw identityError(
      ERR_IDENTITY_INVALID_CONTEXT,
      'Cannot use the context: it has to name protocol and purpose in lower-case segments and end in a version, such as kwaai/record/1'
    )
  }
}

function checkSize(length: number, options: SealOptions, verb: 'seal' | 'open'): void {
  const limit = Math.min(options.maxBytes ?? DEFAULT_MAX_ENVELOPE_BYTES, hardLimit)
  if (length > limit) {
    throw identityError(
      ERR_IDENTITY_ENVELOPE_TOO_LARGE,
      `Cannot ${verb} the envelope: ${length} bytes are more than the ${limit} allowed`,
      { length, limit }
    )
  }
}

import { KwaaiError } from '@kwaai/interface'

/** A seed or a private key has the wrong form. */
export const ERR_IDENTITY_INVALID_SEED = 'ERR_IDENTITY_INVALID_SEED'
/** A public key has the wrong length, is not canonical or is of small order. */
export const ERR_IDENTITY_INVALID_KEY = 'ERR_IDENTITY_INVALID_KEY'
/** A text is not the did:key of an Ed25519 key, nor an alias of one where aliases are taken. */
export const ERR_IDENTITY_INVALID_DID = 'ERR_IDENTITY_INVALID_DID'
/** A text is not the peer id of an Ed25519 key. */
export const ERR_IDENTITY_INVALID_PEER_ID = 'ERR_IDENTITY_INVALID_PEER_ID'
/** A context does not name protocol, purpose and version. */
export const ERR_IDENTITY_INVALID_CONTEXT = 'ERR_IDENTITY_INVALID_CONTEXT'
/** An envelope is larger than the limit. */
export const ERR_IDENTITY_ENVELOPE_TOO_LARGE = 'ERR_IDENTITY_ENVELOPE_TOO_LARGE'
/** Bytes are not the one encoding of an envelope. */
export const ERR_IDENTITY_ENVELOPE_MALFORMED = 'ERR_IDENTITY_ENVELOPE_MALFORMED'
/** An envelope was signed for another context. */
export const ERR_IDENTITY_WRONG_CONTEXT = 'ERR_IDENTITY_WRONG_CONTEXT'
/** A signature does not hold. */
export const ERR_IDENTITY_BAD_SIGNATURE = 'ERR_IDENTITY_BAD_SIGNATURE'

/** A text or a value is not JSON with one meaning for every reader. */
export const ERR_IDENTITY_INVALID_JSON = 'ERR_IDENTITY_INVALID_JSON'

/** A status list is too short, too large, no bitstring, or has no such entry. */
export const ERR_IDENTITY_STATUS_LIST_INVALID = 'ERR_IDENTITY_STATUS_LIST_INVALID'
/** Every entry of a status list is given away. */
export const ERR_IDENTITY_STATUS_LIST_FULL = 'ERR_IDENTITY_STATUS_LIST_FULL'
/** Claims are not those of one of the network's types. */
export const ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID = 'ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID'

/** Every code this package throws. */
export type IdentityErrorCode =
  | typeof ERR_IDENTITY_STATUS_LIST_INVALID
  | typeof ERR_IDENTITY_STATUS_LIST_FULL
  | typeof ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID
  | typeof ERR_IDENTITY_INVALID_SEED
  | typeof ERR_IDENTITY_INVALID_KEY
  | typeof ERR_IDENTITY_INVALID_DID
  | typeof ERR_IDENTITY_INVALID_PEER_ID
  | typeof ERR_IDENTITY_INVALID_CONTEXT
  | typeof ERR_IDENTITY_ENVELOPE_TOO_LARGE
  | typeof ERR_IDENTITY_ENVELOPE_MALFORMED
  | typeof ERR_IDENTITY_WRONG_CONTEXT
  | typeof ERR_IDENTITY_BAD_SIGNATURE
  | typeof ERR_IDENTITY_INVALID_JSON

/** An error of this package. */
export function identityError(
  code: IdentityErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {}
): KwaaiError<IdentityErrorCode> {
  return new KwaaiError(code, message, { details })
}

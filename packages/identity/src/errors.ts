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

/** A secret stands under the name already. */
export const ERR_IDENTITY_KEY_EXISTS = 'ERR_IDENTITY_KEY_EXISTS'
/** A name of a secret is outside of the limits. */
export const ERR_IDENTITY_INVALID_KEY_NAME = 'ERR_IDENTITY_INVALID_KEY_NAME'
/** A secret is empty or larger than its store takes. */
export const ERR_IDENTITY_SECRET_SIZE = 'ERR_IDENTITY_SECRET_SIZE'
/** A sealed secret is cut off, changed, or none. */
export const ERR_IDENTITY_SECRET_DAMAGED = 'ERR_IDENTITY_SECRET_DAMAGED'
/** A passphrase is not the one a secret was sealed with. */
export const ERR_IDENTITY_WRONG_PASSPHRASE = 'ERR_IDENTITY_WRONG_PASSPHRASE'
/** A passphrase is empty or too long. */
export const ERR_IDENTITY_INVALID_PASSPHRASE = 'ERR_IDENTITY_INVALID_PASSPHRASE'
/** A sealed secret asks for a key derivation that is too weak or too costly. */
export const ERR_IDENTITY_KDF_REFUSED = 'ERR_IDENTITY_KDF_REFUSED'
/** A place for keys cannot be used, or not safely. */
export const ERR_IDENTITY_KEYSTORE_UNUSABLE = 'ERR_IDENTITY_KEYSTORE_UNUSABLE'

/** What a grant or an invocation is to say makes none, or is more than its issuer has. */
export const ERR_IDENTITY_INVALID_GRANT = 'ERR_IDENTITY_INVALID_GRANT'
/** A credential or presentation would not verify once it was signed. */
export const ERR_IDENTITY_INVALID_CREDENTIAL = 'ERR_IDENTITY_INVALID_CREDENTIAL'
/** A proof cannot be added to a document: its options contradict the document or each other. */
export const ERR_IDENTITY_INVALID_PROOF = 'ERR_IDENTITY_INVALID_PROOF'
/** A document has no canonical form under a cryptosuite: unknown contexts, undeclared terms, too much work. */
export const ERR_IDENTITY_NOT_CANONICAL = 'ERR_IDENTITY_NOT_CANONICAL'
/** An optional peer dependency is not installed. */
export const ERR_IDENTITY_MISSING_PEER = 'ERR_IDENTITY_MISSING_PEER'
/** Words are not a recovery phrase; the details hold the position of the first one that is not in the list. */
export const ERR_IDENTITY_INVALID_PHRASE = 'ERR_IDENTITY_INVALID_PHRASE'
/** A key is asked for a purpose or an index that there is not. */
export const ERR_IDENTITY_INVALID_DERIVATION = 'ERR_IDENTITY_INVALID_DERIVATION'
/** Sealed bytes are not of the format, or of a version unknown here. */
export const ERR_IDENTITY_SEALED_MALFORMED = 'ERR_IDENTITY_SEALED_MALFORMED'
/** What is to be sealed or opened is larger than the limit. */
export const ERR_IDENTITY_SEALED_TOO_LARGE = 'ERR_IDENTITY_SEALED_TOO_LARGE'
/** Sealed bytes do not open: sealed to another key, for another purpose, with other data beside them, or changed. */
export const ERR_IDENTITY_CANNOT_OPEN = 'ERR_IDENTITY_CANNOT_OPEN'

/** A challenge is none, or of somebody else than the person means to answer. */
export const ERR_IDENTITY_INVALID_CHALLENGE = 'ERR_IDENTITY_INVALID_CHALLENGE'
/** Something that is asked for needs an optional package that is not installed. */
export const ERR_IDENTITY_PASSKEY_UNAVAILABLE = 'ERR_IDENTITY_PASSKEY_UNAVAILABLE'

/** A code of the contract: what every authorizer throws. */
export const ERR_UNAUTHORIZED = 'ERR_UNAUTHORIZED'

/** Every code this package throws. */
export type IdentityErrorCode =
  | typeof ERR_IDENTITY_INVALID_CREDENTIAL
  | typeof ERR_IDENTITY_INVALID_PHRASE
  | typeof ERR_IDENTITY_INVALID_DERIVATION
  | typeof ERR_IDENTITY_SEALED_MALFORMED
  | typeof ERR_IDENTITY_SEALED_TOO_LARGE
  | typeof ERR_IDENTITY_CANNOT_OPEN
  | typeof ERR_IDENTITY_INVALID_PROOF
  | typeof ERR_IDENTITY_NOT_CANONICAL
  | typeof ERR_IDENTITY_MISSING_PEER
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
  | typeof ERR_IDENTITY_INVALID_GRANT
  | typeof ERR_UNAUTHORIZED
  | typeof ERR_IDENTITY_INVALID_CHALLENGE
  | typeof ERR_IDENTITY_PASSKEY_UNAVAILABLE
  | typeof ERR_IDENTITY_KEY_EXISTS
  | typeof ERR_IDENTITY_INVALID_KEY_NAME
  | typeof ERR_IDENTITY_SECRET_SIZE
  | typeof ERR_IDENTITY_SECRET_DAMAGED
  | typeof ERR_IDENTITY_WRONG_PASSPHRASE
  | typeof ERR_IDENTITY_INVALID_PASSPHRASE
  | typeof ERR_IDENTITY_KDF_REFUSED
  | typeof ERR_IDENTITY_KEYSTORE_UNUSABLE

/** An error of this package. */
export function identityError(
  code: IdentityErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown
): KwaaiError<IdentityErrorCode> {
  return new KwaaiError(code, message, { details, cause })
}

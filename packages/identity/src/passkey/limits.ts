/** Context of the envelope in which a key answers a challenge. */
export const PROOF_CONTEXT = 'kwaai/identity/proof/1'

/** Context of the envelope in which an account's key asks for a link. */
export const LINK_CONTEXT = 'kwaai/identity/link/1'

/** Context of the envelope in which a provider says that an address was reached. */
export const ADDRESS_CONTEXT = 'kwaai/identity/address/1'

/** Stands before what the challenge of a passkey is the hash of. */
export const PASSKEY_DOMAIN = 'kwaai/identity/passkey/1'

/** Milliseconds a ceremony may take: what NIST SP 800-63B, section 3.1.3.2, allows a code sent out of band. */
export const DEFAULT_CEREMONY_MS: number = 10 * 60_000

/** Ceremonies under way at once; own choice. */
export const DEFAULT_MAX_CEREMONIES = 10_000

/** Mails to one address within an hour; own choice. */
export const DEFAULT_MAX_MAILS = 5

/** Wrong tokens before a ceremony is over; own choice. */
export const MAX_TOKEN_TRIES = 5

/** Longest answer to a challenge, in characters of JSON; own choice: that of a passkey has about 1,000. */
export const MAX_ANSWER_LENGTH = 16_384

/** Longest address of email, in characters (RFC 5321, section 4.5.3.1.3). */
export const MAX_ADDRESS_LENGTH = 254

/** Accounts, and passkeys; own choice. */
export const DEFAULT_MAX_ACCOUNTS = 100_000

/** Links of one account; own choice. */
export const MAX_LINKS = 16

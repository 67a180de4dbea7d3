/** Codes of the errors this room throws. */
export type ApiErrorCode =
  /** An option of `createApi`, `createApiKeys` or `serveApi` is out of its range. */
  | 'ERR_API_INVALID_INIT'
  /** A new key's name, models, limits or expiry are out of their range; `details.param` says which. */
  | 'ERR_API_INVALID_KEY'
  /** There are as many keys as are kept. */
  | 'ERR_API_TOO_MANY_KEYS'
  /** Another program listens on the port. */
  | 'ERR_API_PORT_IN_USE'
  /** The system does not let the server listen; see `cause`. */
  | 'ERR_API_LISTEN_FAILED'
  /** A `fetch` for one base URL was asked for another address. */
  | 'ERR_API_FOREIGN_URL'
  /** An optional package that this door needs is not installed. */
  | 'ERR_API_PACKAGE_MISSING'
  /** A request was refused; inside the room only, callers see the HTTP answer. */
  | 'ERR_API_REQUEST_REFUSED'
  /** A model broke its contract; inside the room only, callers see a 500. */
  | 'ERR_API_MODEL_MISBEHAVED'
  /** A provenance is not in its form. */
  | 'ERR_API_PROVENANCE_MALFORMED'
  /** A provenance was signed for another purpose. */
  | 'ERR_API_PROVENANCE_WRONG_CONTEXT'
  /** The signature of a provenance does not hold. */
  | 'ERR_API_PROVENANCE_BAD_SIGNATURE'
  /** A provenance is signed by another than it names, or than was asked for. */
  | 'ERR_API_PROVENANCE_WRONG_SIGNER'
  /** A provenance is of a version this program does not read. */
  | 'ERR_API_PROVENANCE_UNKNOWN_VERSION'
  /** The record a provenance shows is not the one that was signed. */
  | 'ERR_API_PROVENANCE_ALTERED'

/** Codes of the errors this room throws. */
export type ApiErrorCode =
  /** An option of `createApi` or `serveApi` is out of its range. */
  | 'ERR_API_INVALID_INIT'
  /** Another program listens on the port. */
  | 'ERR_API_PORT_IN_USE'
  /** The system does not let the server listen; see `cause`. */
  | 'ERR_API_LISTEN_FAILED'
  /** An optional package that this door needs is not installed. */
  | 'ERR_API_PACKAGE_MISSING'
  /** A request was refused; inside the room only, callers see the HTTP answer. */
  | 'ERR_API_REQUEST_REFUSED'
  /** A model broke its contract; inside the room only, callers see a 500. */
  | 'ERR_API_MODEL_MISBEHAVED'

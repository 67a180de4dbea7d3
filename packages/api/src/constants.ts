/** Largest request body taken, in bytes. A chat of 128k tokens is about 600 kB of JSON. */
export const DEFAULT_MAX_BODY_BYTES: number = 8 * 1024 * 1024

/** How long a stream may be silent before a comment keeps it alive. Proxies commonly give up after 30 to 60 s. */
export const DEFAULT_KEEP_ALIVE_MS = 10_000

/** How long a reader may take nothing before its generation is given up and its memory freed. */
export const DEFAULT_STALL_TIMEOUT_MS = 120_000

/** Generations that run at once at most; a further request is answered with 429. */
export const DEFAULT_MAX_GENERATIONS = 64

/** What `Retry-After` says where the model named no time of its own. */
export const DEFAULT_RETRY_AFTER_MS = 2_000

/** How long a model may take to describe itself before it counts as absent. */
export const DEFAULT_DESCRIBE_TIMEOUT_MS = 5_000

/** Where the HTTP server listens: this machine alone. */
export const DEFAULT_HOST = '127.0.0.1'

/** How long open connections may go on after `close` before they are cut. */
export const DEFAULT_CLOSE_TIMEOUT_MS = 2_000

/** Connections the HTTP server holds at most. */
export const DEFAULT_MAX_CONNECTIONS = 512

/** Names in `x-kwaai-ignored` at most. */
export const MAX_IGNORED_NAMES = 20

/** Characters of each of them at most. */
export const MAX_IGNORED_NAME_LENGTH = 64

/** Characters of a caller's name at most; origins of real pages are shorter. */
export const MAX_CALLER_LENGTH = 200

/** The status nginx logs for a client that closed its request; nobody is left to read it. */
export const STATUS_CLIENT_CLOSED_REQUEST = 499

/** What a provenance is signed for. */
export const PROVENANCE_CONTEXT = 'kwaai/api/provenance/1'

/** Bytes of a provenance at most, as JSON or as an envelope. */
export const MAX_PROVENANCE_BYTES: number = 256 * 1024

/** Servers in a provenance at most: more than a chain has, with those that took the place of others. */
export const MAX_PROVENANCE_HOPS = 256

/** Largest request body taken, in bytes. A chat of 128k tokens is about 600 kB of JSON. */
export const DEFAULT_MAX_BODY_BYTES: number = 8 * 1024 * 1024

/** Levels a body nests at most; schemas of OpenAI's strict mode have ten. */
export const MAX_BODY_DEPTH = 200

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

/** How long a request may take to arrive: 8 MiB at a megabit a second. It holds a place for answers meanwhile. */
export const DEFAULT_REQUEST_TIMEOUT_MS = 60_000

/** Bytes of a request's header at most, as Node.js has it. */
export const DEFAULT_MAX_HEADER_BYTES: number = 16 * 1024

/** Headers a browser may ask for in one preflight. */
export const MAX_PREFLIGHT_HEADERS = 64

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

/** Bytes of a provenance at most, as JSON or as an envelope; thrice what the largest record needs in both. */
export const MAX_PROVENANCE_BYTES: number = 1024 * 1024

/** Servers in a provenance at most: more than a chain has, with those that took the place of others. */
export const MAX_PROVENANCE_HOPS = 128

/** Answers to one request at most: the largest `n` of OpenAI's description (2.3.0). */
export const MAX_CHOICES = 128

/** Inputs of one request for embeddings at most, as OpenAI's description (2.3.0) has it. */
export const MAX_EMBEDDING_INPUTS = 2_048

/** Tokens of a completion where the request names no number, as OpenAI's description (2.3.0) has it. */
export const DEFAULT_COMPLETION_TOKENS = 16

/** Functions a request can offer at most, as OpenAI's description (2.3.0) has it. */
export const MAX_TOOLS = 128

/** Servers named in `x-kwaai-chain` at most. */
export const MAX_CHAIN_HOPS = 32

/** Characters of a receipt in `x-kwaai-receipt` at most: headers are commonly cut at 8 KiB, all together. */
export const MAX_RECEIPT_LENGTH = 4_096

/** What the secret of a key begins with, so that people and scanners for secrets know it. */
export const KEY_SECRET_PREFIX = 'kw-'

/** What the id of a key begins with. */
export const KEY_ID_PREFIX = 'key_'

/** Keys kept at most. */
export const DEFAULT_MAX_KEYS = 10_000

/** Characters of a key's name at most. */
export const MAX_KEY_NAME_LENGTH = 100

/** Models one key names at most. */
export const MAX_KEY_MODELS = 100

/** Characters of a model's id at most. */
export const MAX_MODEL_ID_LENGTH = 300

/** Keys whose use is remembered before those at rest are forgotten. */
export const MAX_TRACKED_KEYS = 1_000

/** Characters of the token at least: 128 random bits in base64url have 22. */
export const MIN_TOKEN_LENGTH = 20

/** Characters of a bearer token that are looked at. */
export const MAX_TOKEN_LENGTH = 200

/** Series a metric holds at most. */
export const MAX_METRIC_SERIES = 1_000

/** Bounds of the buckets for times to the first token: Prometheus' usual ones, and up to a minute. */
export const FIRST_TOKEN_SECONDS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
]

/** Bounds of the buckets for whole answers, up to ten minutes. */
export const ANSWER_SECONDS: readonly number[] = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

/** How long an answer waits for its receipt and its record before it goes without. */
export const SETTLE_TIMEOUT_MS = 1_000

/** The address clients of `createKwaaiFetch` are given; the name is reserved for links (RFC 6762), nothing listens. */
export const DEFAULT_BASE_URL = 'http://kwaai.local/v1'

/** What a request within the process is addressed to: a name that can only mean this machine (RFC 6761 §6.3). */
export const IN_PROCESS_ORIGIN = 'http://localhost'

/** How long the provenance of an answer is kept: as long as OpenAI keeps responses. */
export const DEFAULT_PROVENANCE_TTL_MS: number = 30 * 24 * 60 * 60 * 1000

/** Records of one caller at most. */
export const DEFAULT_PROVENANCE_PER_CALLER = 10_000

/** Bytes of all records together at most; one has about 700. */
export const DEFAULT_PROVENANCE_BYTES: number = 16 * 1024 * 1024

/** Bytes of a request that are passed over at most once it has its answer. */
export const MAX_UNREAD_BYTES: number = 64 * 1024 * 1024
/** How long they are. */
export const UNREAD_TIMEOUT_MS: number = 500

/** The protocol of this package; its messages are `proto/dht.proto`. */
export const DHT_PROTOCOL = '/kwaai/dht/1.0.0'

/** The context in which records are signed. */
export const RECORD_CONTEXT = 'kwaai/record/1'

/** Peers in a bucket, and holders of a record: k of Maymounkov and Mazières, Kademlia, 2002, section 2.2. */
export const DEFAULT_K = 20

/** Requests of one lookup in flight: alpha of Kademlia, section 2.3. */
export const DEFAULT_ALPHA = 3

/** Failures in a row after which a peer leaves its bucket; own choice (Kademlia, section 4.1, takes five). */
export const MAX_FAILURES = 2

/** How long a peer may take to answer, in milliseconds; own choice, ample for two relayed round trips. */
export const DEFAULT_REQUEST_TIMEOUT_MS = 5_000

/** Between two walks through the buckets, in milliseconds: the default of libp2p's kad-dht. */
export const DEFAULT_REFRESH_INTERVAL_MS = 300_000

/** Between two tries to find anybody while the table is empty, in milliseconds; own choice. */
export const DEFAULT_JOIN_INTERVAL_MS = 10_000

/** Between two sweeps of expired records, in milliseconds; own choice. */
export const DEFAULT_SWEEP_INTERVAL_MS = 30_000

/** Between two puts of an announced record, in milliseconds: what hivemind's servers do. */
export const DEFAULT_ANNOUNCE_INTERVAL_MS = 120_000

/** Announcements a record outlives without a new one. */
export const ANNOUNCE_LIVES = 3

/** Between two looks of a watcher, in milliseconds; own choice. */
export const DEFAULT_WATCH_INTERVAL_MS = 5_000

/** Longest life of a record, in milliseconds: a day, after which Kademlia expires values too (section 2.5). */
export const MAX_TTL_MS = 86_400_000

/** How far the clocks of writer and holder may differ, in milliseconds; own choice. */
export const MAX_CLOCK_SKEW_MS = 60_000

/** Longest key and longest subkey, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 256

/** Largest value, in bytes. */
export const MAX_VALUE_BYTES = 16_384

/** Largest envelope of a record, in bytes: value, two names, and room for the rest. */
export const MAX_ENVELOPE_BYTES = 17_408

/** Largest message, in bytes: about fifteen of the largest records, hundreds of ordinary ones. */
export const MAX_MESSAGE_BYTES = 262_144

/** Most envelopes in a message. */
export const MAX_RECORDS_PER_MESSAGE = 64

/** Most peer ids in a message. */
export const MAX_PEERS_PER_MESSAGE = 64

/** Longest peer id, in characters; an Ed25519 one has 52. */
export const MAX_PEER_ID_LENGTH = 128

/** Answers taken from one peer for one key. */
export const MAX_PAGES = 32

/** Streams of one peer answered at once. */
export const MAX_STREAMS_PER_PEER = 16

/** How long a holder is not offered the records of a key again, in milliseconds; own choice. */
export const REPAIR_INTERVAL_MS = 60_000

/** Tasks in the background at once, of each kind: greetings and repairs. Own choice. */
export const MAX_BACKGROUND_TASKS = 32

/** Bytes of verified records kept, so that the same envelope from k peers is verified once: 8 MiB. */
export const VERIFIED_CACHE_BYTES = 8_388_608

/** How much a node holds for others. */
export interface RecordQuotas {
  /** Records under one key. */
  perKey: number
  /** Records of one signer. */
  perSigner: number
  /** Bytes of one signer. */
  bytesPerSigner: number
  /** Records in all. */
  total: number
  /** Bytes in all. */
  totalBytes: number
}

/** Own choice: a thousand adverts of a model, and 64 MiB in all. */
export const DEFAULT_QUOTAS: Readonly<RecordQuotas> = {
  perKey: 1024,
  perSigner: 1024,
  bytesPerSigner: 4_194_304,
  total: 65_536,
  totalBytes: 67_108_864
}

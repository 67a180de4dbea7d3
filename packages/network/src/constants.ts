/** Where peers find each other's addresses; a Kademlia of our own, apart from the public IPFS one. */
export const KAD_PROTOCOL = '/kwaai/kad/1.0.0'

/** The ping protocol of libp2p, https://github.com/libp2p/specs/blob/master/ping/ping.md */
export const PING_PROTOCOL = '/ipfs/ping/1.0.0'

/** Bytes of one ping, from the same specification. */
export const PING_BYTES = 32

/** Where a network listens when nothing else is said: a free port, reachable from this machine alone. */
export const DEFAULT_LISTEN: readonly string[] = ['/ip4/127.0.0.1/tcp/0']

/** Connections at once when nothing else is said; libp2p's own default for Node.js. */
export const DEFAULT_MAX_CONNECTIONS = 300

/** How long one dial may take when nothing else is said; libp2p's own default, 10 s. */
export const DEFAULT_DIAL_TIMEOUT_MS = 10_000

/** Bytes a stream holds for a reader that does not read, before it pauses: 1 MiB. */
export const READ_QUEUE_BYTES: number = 1024 * 1024

/**
 * Largest window of a Yamux stream, 2 MiB: what a peer may have under way after the reader has paused. It has
 * to stay under libp2p's read buffer of 4 MiB, above which libp2p resets the stream.
 */
export const MAX_STREAM_WINDOW_BYTES: number = 2 * 1024 * 1024

/** Streams of one connection at once, all protocols together. */
export const MAX_STREAMS_PER_CONNECTION = 1024

/** First and longest pause between two dials of a bootstrap peer. */
export const BOOTSTRAP_BACK_OFF_MS: { readonly first: number; readonly longest: number } = {
  first: 500,
  longest: 60_000
}

/** Entries libp2p may keep, nearly all of them what is known of one peer each. */
export const MAX_DATASTORE_ENTRIES = 10_000

import type { CallOptions, PeerId, Startable } from './common.ts'

/**
 * A two-way pipe of frames to one authenticated peer. Frames arrive whole, once and in order.
 * Both directions are bounded: `send` waits while the peer does not read.
 */
export interface Channel {
  /** The peer at the other end, proven by the transport's handshake. */
  readonly peer: PeerId
  readonly protocol: string
  /**
   * Sends one frame; several parts travel as one frame without being joined first. The bytes may be reused
   * once the promise is settled.
   *
   * @throws A KwaaiError `ERR_NETWORK_FRAME_TOO_LARGE` or `ERR_NETWORK_CHANNEL_CLOSED`.
   */
  send(frame: Uint8Array | readonly Uint8Array[], options?: CallOptions): Promise<void>
  /**
   * The next frame (the caller's own memory), or `undefined` once the peer has closed its side in good order.
   *
   * @throws A KwaaiError `ERR_NETWORK_CHANNEL_CLOSED` when the peer is gone or reset the channel,
   * `ERR_NETWORK_FRAME_TOO_LARGE` when the peer announces a frame over the limit; the channel then ends.
   */
  receive(options?: CallOptions): Promise<Uint8Array | undefined>
  /** Ends in good order: what was sent still arrives. */
  close(): Promise<void>
  /** Ends at once; the peer sees a reset. */
  abort(reason?: Error): void
}

/** A two-way pipe of bytes without frames, for protocols of others. */
export interface ByteStream {
  readonly peer: PeerId
  readonly protocol: string
  /** Waits while the peer does not read. */
  write(bytes: Uint8Array, options?: CallOptions): Promise<void>
  /** The next bytes, at least one, or `undefined` at the end. */
  read(options?: CallOptions): Promise<Uint8Array | undefined>
  /** Ends the own side; the other may go on. */
  closeWrite(): Promise<void>
  close(): Promise<void>
  abort(reason?: Error): void
}

/** What is known about the caller of a request. */
export interface RequestContext {
  readonly peer: PeerId
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal
}

/**
 * What answers a protocol. An error thrown by a handler resets the stream: the caller sees
 * `ERR_NETWORK_REQUEST_FAILED` or a closed channel, never the error's text.
 */
export type ProtocolHandler =
  | { onRequest: (payload: Uint8Array, context: RequestContext) => Promise<Uint8Array> }
  | { onChannel: (channel: Channel) => Promise<void> }
  | { onStream: (stream: ByteStream) => Promise<void> }

/** Limits of a handled protocol. */
export interface HandleOptions {
  /** Largest frame accepted and sent, in bytes. Default 8 MiB. */
  maxFrameBytes?: number
  /** Streams of this protocol open at once, from one peer. Default 64. */
  maxStreamsPerPeer?: number
}

/** Options of an outgoing request, channel or stream. */
export interface OpenOptions extends CallOptions {
  /** Largest frame accepted and sent, in bytes. Default 8 MiB. */
  maxFrameBytes?: number
}

/** What is known about the connection to a peer. */
export interface ConnectionFacts {
  /** The round trip in milliseconds as it was measured lately, if it was. */
  rttMs?: number
  /** True when a relay carries the bytes. */
  relayed: boolean
  /** The network the peer's address lies in: a /24 of IPv4, a /48 of IPv6, or the transport's own word. */
  addressPrefix: string
}

/** A peer came or went. */
export interface PeerEvent {
  type: 'connect' | 'disconnect'
  peer: PeerId
}

/** One message of a topic. */
export interface TopicMessage {
  topic: string
  /** Who published it, authenticated. */
  from: PeerId
  data: Uint8Array
}

/** Everything a room needs of a network. Peers are named by id; finding their addresses is the network's work. */
export interface Network extends Startable {
  readonly specification: 'kwaai.network/1'
  readonly supports: {
    /** `publish` and `subscribe` work; otherwise they throw `ERR_NETWORK_UNSUPPORTED`. */
    pubsub: boolean
    /** `openStream` works. */
    streams: boolean
  }
  readonly peerId: PeerId
  /** Own addresses, each ending in the own peer id, as another machine would dial them. */
  addresses(): string[]
  /** Peers connected now. */
  peers(): PeerId[]
  /**
   * Connects to a peer by its address or its id.
   *
   * @throws A KwaaiError `ERR_NETWORK_UNREACHABLE` or `ERR_NETWORK_INVALID_ADDRESS`.
   */
  connect(addressOrPeer: string, options?: CallOptions): Promise<PeerId>
  disconnect(peer: PeerId): Promise<void>
  /** Measures a round trip, in milliseconds. */
  ping(peer: PeerId, options?: CallOptions): Promise<number>
  /** Facts about the connection, or `undefined` without one. */
  connection(peer: PeerId): ConnectionFacts | undefined
  /**
   * One frame there, one frame back.
   *
   * @throws A KwaaiError `ERR_NETWORK_UNREACHABLE`, `ERR_NETWORK_PROTOCOL_UNSUPPORTED` or
   * `ERR_NETWORK_REQUEST_FAILED`.
   */
  request(peer: PeerId, protocol: string, payload: Uint8Array, options?: OpenOptions): Promise<Uint8Array>
  open(peer: PeerId, protocol: string, options?: OpenOptions): Promise<Channel>
  openStream(peer: PeerId, protocol: string, options?: CallOptions): Promise<ByteStream>
  /**
   * Answers a protocol until the returned function is called.
   *
   * @throws A KwaaiError `ERR_NETWORK_PROTOCOL_TAKEN` when the protocol has a handler already.
   */
  handle(protocol: string, handler: ProtocolHandler, options?: HandleOptions): Promise<() => Promise<void>>
  /** The known peers closest to a key, nearest first. */
  closestPeers(key: Uint8Array, options?: CallOptions & { count?: number }): Promise<PeerId[]>
  publish(topic: string, data: Uint8Array, options?: CallOptions): Promise<void>
  subscribe(topic: string, listener: (message: TopicMessage) => void): () => void
  /** Calls the listener when a peer comes or goes, until the returned function is called. */
  onPeer(listener: (event: PeerEvent) => void): () => void
}

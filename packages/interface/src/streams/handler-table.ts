import type { Clock, PeerId } from '../common.ts'
import { KwaaiError } from '../errors.ts'
import type { HandleOptions, ProtocolHandler } from '../network.ts'
import { channelClosed, protocolUnsupported } from './errors.ts'
import { DEFAULT_MAX_STREAMS_PER_PEER, serveStream } from './exchange.ts'
import type { RawStream } from './raw-stream.ts'
import { createStreamPair } from './stream-pair.ts'

/** The protocols a network answers, and the streams on which it is answering. */
export interface HandlerTable {
  /**
   * @returns a function that removes the handler; streams it has begun go on.
   * @throws A KwaaiError `ERR_NETWORK_PROTOCOL_TAKEN` when the protocol has a handler.
   */
  add(protocol: string, handler: ProtocolHandler, options: HandleOptions): () => void
  has(protocol: string): boolean
  /** Serves a stream somebody opened, or resets it when it is not wanted or one too many. */
  accept(raw: RawStream): void
  /**
   * Opens a stream of the own peer to itself: a node is then served by its own blocks as by anybody's.
   *
   * @throws A KwaaiError `ERR_NETWORK_PROTOCOL_UNSUPPORTED` when there is no handler.
   */
  openOwn(peerId: PeerId, protocol: string): RawStream
  /** Resets every stream being served. */
  abortAll(): void
}

/** Makes a {@link HandlerTable}. */
export function createHandlerTable(clock: Clock): HandlerTable {
  const entries = new Map<string, { handler: ProtocolHandler; options: HandleOptions }>()
  const open = new Map<string, Set<RawStream>>()

  const table: HandlerTable = {
    add: (protocol, handler, options) => {
      if (entries.has(protocol)) {
        throw new KwaaiError(
          'ERR_NETWORK_PROTOCOL_TAKEN',
          `Cannot handle ${protocol}: it has a handler already`,
          {
            details: { protocol }
          }
        )
      }
      const entry = { handler, options }
      entries.set(protocol, entry)
      return () => {
        if (entries.get(protocol) === entry) entries.delete(protocol)
      }
    },
    has: (protocol) => entries.has(protocol),
    accept: (raw) => {
      const entry = entries.get(raw.protocol)
      if (entry === undefined) return raw.abort()
      const key = JSON.stringify([raw.peer, raw.protocol])
      const streams = open.get(key) ?? new Set()
      if (streams.size >= (entry.options.maxStreamsPerPeer ?? DEFAULT_MAX_STREAMS_PER_PEER)) {
        return raw.abort(channelClosed(raw.peer, raw.protocol, 'the peer has too many streams open'))
      }
      if (raw.closed.aborted) return
      streams.add(raw)
      open.set(key, streams)
      raw.closed.addEventListener(
        'abort',
        () => {
          streams.delete(raw)
          if (streams.size === 0 && open.get(key) === streams) open.delete(key)
        },
        { once: true }
      )
      void serveStream(entry.handler, raw, { ...entry.options, clock })
    },
    openOwn: (peerId, protocol) => {
      if (!entries.has(protocol)) throw protocolUnsupported(peerId, protocol)
      const [near, far] = createStreamPair({ peers: [peerId, peerId], protocol })
      table.accept(far)
      return near
    },
    abortAll: () => {
      for (const streams of open.values()) for (const raw of streams) raw.abort()
    }
  }
  return table
}

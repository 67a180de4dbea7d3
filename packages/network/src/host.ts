import type { CallOptions, Clock, PeerEvent, PeerId } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import {
  closestFirst,
  invalidAddress,
  protocolUnsupported,
  unreachable,
  type RawStream
} from '@kwaai/interface/streams'
import type { Connection, Libp2p, PeerId as Libp2pPeerId } from '@libp2p/interface'
import { PING_BYTES, PING_PROTOCOL } from './constants.ts'
import { addressInUse, cannotListen, errorName, unsupported, withoutPeer } from './errors.ts'
import type { HostInit } from './libp2p-host.ts'
import { createLibp2pStream } from './libp2p-stream.ts'

/** What a host asks of the network it belongs to. */
export interface HostOwner {
  /** Protocols answered from the first moment on. */
  protocols(): string[]
  accept(raw: RawStream): void
  onPeer(event: PeerEvent): void
}

/** A running libp2p host in the house's own terms. Its errors are ours, its streams raw ones. */
export interface Host {
  addresses(): string[]
  peers(): PeerId[]
  connect(addressOrPeer: string, options: CallOptions): Promise<PeerId>
  disconnect(peer: PeerId): Promise<void>
  openStream(peer: PeerId, protocol: string, options: CallOptions): Promise<RawStream>
  ping(peer: PeerId, options: CallOptions, clock: Clock): Promise<number>
  connection(peer: PeerId): { address: string; rttMs: number | undefined } | undefined
  handle(protocol: string): Promise<void>
  unhandle(protocol: string): Promise<void>
  closestPeers(key: Uint8Array, count: number, options: CallOptions): Promise<PeerId[]>
  close(): Promise<void>
}

type Libp2pModule = typeof import('./libp2p-host.ts')

/** Loads libp2p, which is heavy and optional, when it is needed and not before. */
async function loadLibp2p(): Promise<Libp2pModule> {
  try {
    return await import('./libp2p-host.ts')
  } catch (error) {
    throw unsupported(
      'Cannot start the network: libp2p is not installed; install the peer dependencies of @kwaai/network: ' +
        'libp2p, @multiformats/multiaddr, and of @libp2p/ crypto, identify, interface, kad-dht, ' +
        'noise, peer-id, ping, tcp, tls and yamux',
      error
    )
  }
}

/** What TCP can listen on; libp2p would call anything else a port that is taken. */
const listenable = /^\/ip[46]\/[^/]+\/tcp\/\d+(\/p2p\/|$)/

/**
 * Starts a libp2p host.
 *
 * @throws A KwaaiError `ERR_NETWORK_UNSUPPORTED` when libp2p is not installed, `ERR_NETWORK_ADDRESS_IN_USE`
 * when it cannot listen, `ERR_NETWORK_INVALID_ADDRESS` for an address to listen on or to join that cannot be read.
 */
export async function openHost(init: HostInit, owner: HostOwner): Promise<Host> {
  const { startHost, multiaddr, peerIdFromString } = await loadLibp2p()
  for (const address of [...init.listen, ...init.announce, ...init.bootstrap]) {
    try {
      multiaddr(address)
    } catch (error) {
      throw invalidAddress(address, error)
    }
  }
  for (const address of init.listen) if (!listenable.test(address)) throw cannotListen(address)
  const toPeer = (peer: PeerId): Libp2pPeerId => {
    try {
      return peerIdFromString(peer)
    } catch (error) {
      throw invalidAddress(peer, error)
    }
  }
  // Dialled in the background, where nobody would hear that it can never work.
  for (const address of init.bootstrap) toPeer(peerOf(address))

  const handle = (libp2p: Libp2p, protocol: string): Promise<void> =>
    libp2p.handle(
      protocol,
      (stream, connection) => owner.accept(createLibp2pStream(stream, connection.remotePeer.toString())),
      // The handler table counts streams by peer, over all of the peer's connections.
      {
        maxInboundStreams: Number.MAX_SAFE_INTEGER,
        maxOutboundStreams: Number.MAX_SAFE_INTEGER,
        runOnLimitedConnection: true,
        force: true
      }
    )

  let closed = false
  let libp2p: Libp2p
  try {
    libp2p = await startHost(init, async (made) => {
      made.addEventListener('peer:connect', ({ detail }) => {
        if (!closed) owner.onPeer({ type: 'connect', peer: detail.toString() })
      })
      made.addEventListener('peer:disconnect', ({ detail }) => {
        owner.onPeer({ type: 'disconnect', peer: detail.toString() })
      })
      for (const protocol of owner.protocols()) await handle(made, protocol)
    })
  } catch (error) {
    if (errorName(error) === 'UnsupportedListenAddressesError') throw addressInUse(init.listen, error)
    throw error
  }

  const failed = (peer: PeerId, protocol: string, error: unknown, options: CallOptions): unknown => {
    if (options.signal?.aborted) return options.signal.reason
    if (KwaaiError.is(error)) return error
    if (errorName(error) === 'UnsupportedProtocolError') return protocolUnsupported(peer, protocol, error)
    return unreachable(peer, error instanceof Error ? error.message : String(error), error)
  }
  const connected = (peer: PeerId): Connection | undefined =>
    libp2p.getConnections().find(({ remotePeer }) => remotePeer.toString() === peer)
  const dial = async (peer: PeerId, options: CallOptions): Promise<Connection> => {
    options.signal?.throwIfAborted()
    const id = toPeer(peer)
    const [open] = libp2p.getConnections(id).filter(({ status }) => status === 'open')
    return open ?? libp2p.dial(id, options)
  }
  const openStream = async (peer: PeerId, protocol: string, options: CallOptions): Promise<RawStream> => {
    try {
      const connection = await dial(peer, options)
      const stream = await connection.newStream(protocol, {
        ...options,
        maxOutboundStreams: Number.MAX_SAFE_INTEGER,
        runOnLimitedConnection: true
      })
      return createLibp2pStream(stream, peer)
    } catch (error) {
      throw failed(peer, protocol, error, options)
    }
  }

  return {
    addresses: () => libp2p.getMultiaddrs().map(String),
    peers: () => libp2p.getPeers().map(String),
    openStream,
    async connect(addressOrPeer, options) {
      if (!addressOrPeer.startsWith('/')) {
        try {
          await dial(addressOrPeer, options)
        } catch (error) {
          throw failed(addressOrPeer, '', error, options)
        }
        return addressOrPeer
      }
      options.signal?.throwIfAborted()
      const peer = peerOf(addressOrPeer)
      const id = toPeer(peer)
      try {
        const address = multiaddr(addressOrPeer)
        if (libp2p.getConnections(id).length === 0) await libp2p.dial(address, options)
        return id.toString()
      } catch (error) {
        if (errorName(error) === 'InvalidMultiaddrError') throw invalidAddress(addressOrPeer, error)
        throw failed(peer, '', error, options)
      }
    },
    disconnect: async (peer) => {
      const found = connected(peer)
      if (found !== undefined) await libp2p.hangUp(found.remotePeer).catch(() => undefined)
    },
    async ping(peer, options, clock) {
      const raw = await openStream(peer, PING_PROTOCOL, options)
      try {
        const started = clock.monotonic()
        await raw.write(crypto.getRandomValues(new Uint8Array(PING_BYTES)), options)
        for (let left = PING_BYTES; left > 0;) {
          const bytes = await raw.read(options)
          if (bytes === undefined) throw unreachable(peer, 'it did not answer a ping')
          left -= bytes.length
        }
        return clock.monotonic() - started
      } catch (error) {
        throw failed(peer, PING_PROTOCOL, error, options)
      } finally {
        raw.closeWrite().catch(() => undefined)
      }
    },
    connection: (peer) => {
      const found = connected(peer)
      return found && { address: found.remoteAddr.toString(), rttMs: found.rtt }
    },
    handle: (protocol) => handle(libp2p, protocol),
    unhandle: (protocol) => libp2p.unhandle(protocol),
    async closestPeers(key, count, options) {
      options.signal?.throwIfAborted()
      const found = new Map<PeerId, Uint8Array>()
      try {
        for await (const { id } of libp2p.peerRouting.getClosestPeers(key, options)) {
          if (!id.equals(libp2p.peerId)) found.set(id.toString(), id.toMultihash().bytes)
        }
      } catch (error) {
        if (options.signal?.aborted) throw options.signal.reason
        throw failed(libp2p.peerId.toString(), '', error, options)
      }
      // They come as they are found.
      const peers = [...found].map(([peer, idBytes]) => ({ peer, idBytes }))
      return (await closestFirst(key, peers)).slice(0, count)
    },
    async close() {
      closed = true
      await libp2p.stop()
    }
  }
}

/** The peer an address ends in. Without its id the peer at the other end could be anybody. */
function peerOf(address: string): string {
  const peer = /\/p2p\/([^/]+)$/.exec(address)?.[1]
  if (peer === undefined) throw withoutPeer(address)
  return peer
}

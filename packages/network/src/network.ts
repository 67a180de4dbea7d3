import { createIdentity } from '@kwaai/identity'
import type {
  CallOptions,
  Clock,
  HandleOptions,
  Logger,
  Network,
  PeerEvent,
  PeerId,
  Random
} from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import {
  createByteStream,
  createChannel,
  createHandlerTable,
  requestOver,
  unreachable,
  type RawStream
} from '@kwaai/interface/streams'
import { addressPrefix } from './address-prefix.ts'
import { keepConnected } from './bootstrap.ts'
import { DEFAULT_DIAL_TIMEOUT_MS, DEFAULT_LISTEN, DEFAULT_MAX_CONNECTIONS } from './constants.ts'
import { unsupported } from './errors.ts'
import { openHost, type Host } from './host.ts'
import { createRoundTrips } from './round-trips.ts'

/** What a network is made of. */
export interface NetworkInit {
  /** The 32-byte seed of the Ed25519 key that is the peer's identity; keep it, and the peer id stays. */
  privateKey: Uint8Array
  /** Multiaddrs to listen on. Default `/ip4/127.0.0.1/tcp/0`; none for a peer that only dials. */
  listen?: readonly string[]
  /** Multiaddrs to announce instead of those found, for a peer behind a forwarded port. Default: those found. */
  announce?: readonly string[]
  /** Multiaddrs, each ending in a peer id, of peers to stay connected to. Default none. */
  bootstrap?: readonly string[]
  /** Connections at once. Default 300. */
  maxConnections?: number
  /** How long a dial may take, in milliseconds. Default 10,000. */
  dialTimeoutMs?: number
}

/** What a network needs. */
export interface NetworkComponents {
  clock?: Clock
  random?: Random
  logger?: Logger
}

/**
 * A {@link Network} over libp2p: TCP, TLS or Noise, Yamux, and a Kademlia that finds addresses.
 *
 * It listens on this machine alone unless told otherwise, and needs the packages of libp2p, which are optional
 * peer dependencies, when it starts.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the key has not 32 bytes.
 */
export function createNetwork(init: NetworkInit, components: NetworkComponents = {}): Network {
  const { clock = systemClock, random = systemRandom, logger } = components
  const { peerId } = createIdentity({ seed: init.privateKey })
  const privateKey = new Uint8Array(init.privateKey)
  const listen = init.listen ?? DEFAULT_LISTEN
  const handlers = createHandlerTable(clock)
  const protocols = new Set<string>()
  const listeners = new Set<(event: PeerEvent) => void>()
  const streams = new Set<RawStream>()
  const roundTrips = createRoundTrips()
  let host: Host | undefined
  let changing: Promise<void> = Promise.resolve()
  let running = new AbortController()

  const live = (): Host => {
    if (host === undefined) throw unreachable(peerId, 'the own network is not started')
    return host
  }
  const track = (raw: RawStream): RawStream => {
    streams.add(raw)
    raw.closed.addEventListener('abort', () => streams.delete(raw), { once: true })
    if (raw.closed.aborted) streams.delete(raw)
    return raw
  }
  const abortStreams = (peer?: PeerId): void => {
    for (const raw of streams) if (peer === undefined || raw.peer === peer) raw.abort()
  }
  const tell = (event: PeerEvent): void => {
    if (event.type === 'disconnect') roundTrips.forget(event.peer)
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        logger?.log('warn', 'network.listener-failed', { error: String(error) })
      }
    }
  }
  const openRaw = async (peer: PeerId, protocol: string, options: CallOptions = {}): Promise<RawStream> => {
    const current = live()
    options.signal?.throwIfAborted()
    if (peer === peerId) return handlers.openOwn(peerId, protocol)
    return track(await current.openStream(peer, protocol, options))
  }

  const start = async (options: CallOptions): Promise<void> => {
    options.signal?.throwIfAborted()
    if (host !== undefined) return
    running = new AbortController()
    host = await openHost(
      {
        privateKey,
        listen,
        announce: init.announce ?? [],
        bootstrap: init.bootstrap ?? [],
        maxConnections: init.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
        dialTimeoutMs: init.dialTimeoutMs ?? DEFAULT_DIAL_TIMEOUT_MS
      },
      { protocols: () => [...protocols], accept: (raw) => handlers.accept(track(raw)), onPeer: tell }
    )
    logger?.log('info', 'network.started', { peerId, addresses: host.addresses() })
    for (const address of init.bootstrap ?? []) {
      void keepConnected(network, address, { clock, random, signal: running.signal })
    }
  }
  const stop = async (): Promise<void> => {
    const current = host
    if (current === undefined) return
    host = undefined
    running.abort(unreachable(peerId, 'the own network was stopped'))
    abortStreams()
    handlers.abortAll()
    roundTrips.clear()
    await current.close()
  }
  // Starts and stops happen one after the other, in the order they were asked for.
  const change = (task: () => Promise<void>): Promise<void> => {
    const done = changing.then(task)
    changing = done.catch(() => undefined)
    return done
  }

  const network: Network = {
    specification: 'kwaai.network/1',
    supports: { pubsub: false, streams: true },
    peerId,
    start: (options = {}) => change(() => start(options)),
    stop: () => change(stop),
    [Symbol.asyncDispose]: () => network.stop(),
    addresses: () => host?.addresses() ?? [],
    peers: () => host?.peers() ?? [],
    connect: async (addressOrPeer, options = {}) => live().connect(addressOrPeer, options),
    async disconnect(peer) {
      abortStreams(peer)
      await host?.disconnect(peer)
    },
    async ping(peer, options = {}) {
      const rttMs = await live().ping(peer, options, clock)
      roundTrips.add(peer, rttMs)
      return rttMs
    },
    connection(peer) {
      const found = host?.connection(peer)
      if (found === undefined) return undefined
      // libp2p measures too, in whole milliseconds.
      const rttMs = roundTrips.least(peer) ?? found.rttMs
      return {
        relayed: found.address.includes('/p2p-circuit'),
        addressPrefix: addressPrefix(found.address),
        ...(rttMs === undefined ? {} : { rttMs })
      }
    },
    request: async (peer, protocol, payload, options = {}) =>
      requestOver(await openRaw(peer, protocol, options), payload, { ...options, clock }),
    open: async (peer, protocol, options = {}) =>
      createChannel(await openRaw(peer, protocol, options), { ...options, clock }),
    openStream: async (peer, protocol, options) =>
      createByteStream(await openRaw(peer, protocol, options), { clock }),
    async handle(protocol, handler, options: HandleOptions = {}) {
      const remove = handlers.add(protocol, handler, options)
      protocols.add(protocol)
      await host?.handle(protocol)
      let removed = false
      return async () => {
        if (removed) return
        removed = true
        remove()
        protocols.delete(protocol)
        await host?.unhandle(protocol)
      }
    },
    closestPeers: async (key, options = {}) => live().closestPeers(key, options.count ?? 20, options),
    publish: async () => {
      throw unsupported('Cannot publish: this network carries no topics yet')
    },
    subscribe: () => {
      throw unsupported('Cannot subscribe: this network carries no topics yet')
    },
    onPeer(listener) {
      const own = (event: PeerEvent): void => listener(event)
      listeners.add(own)
      return () => void listeners.delete(own)
    }
  }
  return network
}

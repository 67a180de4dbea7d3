import type { PeerId } from '../common.ts'
import type { Network, PeerEvent, TopicMessage } from '../network.ts'
import { createByteStream, createChannel } from '../streams/channel.ts'
import { closestFirst } from '../streams/distance.ts'
import { frameTooLarge, invalidAddress, unreachable } from '../streams/errors.ts'
import { requestOver } from '../streams/exchange.ts'
import { createHandlerTable } from '../streams/handler-table.ts'
import type { RawStream } from '../streams/raw-stream.ts'
import type { MemoryHub, MemoryMember, MemoryPort } from './hub.ts'

/** Largest message of a topic: 64 KiB, what gossip carries well. */
const MAX_MESSAGE_BYTES = 64 * 1024

/** Reads `/memory/hub/p2p/<peer id>` or a bare peer id. */
function readAddress(address: string): PeerId {
  const peer = address.startsWith('/') ? /^\/memory\/[^/]+\/p2p\/([^/]+)$/.exec(address)?.[1] : address
  if (peer === undefined || !/^[A-Za-z0-9_-]+$/.test(peer)) throw invalidAddress(address)
  return peer
}

/**
 * A `Network` whose peers are the others on the same hub. Frames are copied, directions are bounded, order is
 * the same in every run. Any peer that is started can be dialled by its id.
 */
export function createMemoryNetwork(hub: MemoryHub, init: { peerId: PeerId }): Network {
  const { peerId } = init
  const { clock } = hub
  const handlers = createHandlerTable(clock)
  const listeners = new Set<(event: PeerEvent) => void>()
  const topics = new Map<string, Set<(message: TopicMessage) => void>>()
  let port: MemoryPort | undefined

  const running = (): MemoryPort => {
    if (port === undefined) throw unreachable(peerId, 'the own network is not started')
    return port
  }
  const tell = <T>(to: Iterable<(event: T) => void>, event: T): void => {
    for (const listener of to) {
      try {
        listener(event)
      } catch {
        // A listener's failure is its own.
      }
    }
  }
  const end = (): void => {
    port = undefined
    handlers.abortAll()
  }
  const member: MemoryMember = {
    peerId,
    answers: handlers.has,
    accept: handlers.accept,
    subscribes: (topic) => topics.has(topic),
    deliver: (message) => tell(topics.get(message.topic) ?? [], message),
    connected: (peer) => tell(listeners, { type: 'connect', peer }),
    disconnected: (peer) => tell(listeners, { type: 'disconnect', peer }),
    killed: end
  }

  const openRaw = async (
    peer: PeerId,
    protocol: string,
    options: { signal?: AbortSignal } = {}
  ): Promise<RawStream> => {
    if (peer !== peerId) return running().openStream(peer, protocol, options)
    running()
    options.signal?.throwIfAborted()
    return handlers.openOwn(peerId, protocol)
  }
  const network: Network = {
    specification: 'kwaai.network/1',
    supports: { pubsub: true, streams: true },
    peerId,
    async start(options = {}) {
      options.signal?.throwIfAborted()
      port ??= hub.attach(member)
    },
    async stop() {
      const current = port
      end()
      current?.detach()
    },
    [Symbol.asyncDispose]: () => network.stop(),
    addresses: () => (port === undefined ? [] : [`/memory/hub/p2p/${peerId}`]),
    peers: () => port?.peers() ?? [],
    async connect(addressOrPeer, options) {
      const peer = readAddress(addressOrPeer)
      await running().connect(peer, options)
      return peer
    },
    async disconnect(peer) {
      port?.disconnect(peer)
    },
    ping: async (peer, options) => running().ping(peer, options),
    connection: (peer) => {
      if (port?.peers().includes(peer) !== true) return undefined
      const rttMs = port.rttMs(peer)
      return { relayed: false, addressPrefix: 'memory', ...(rttMs === undefined ? {} : { rttMs }) }
    },
    request: async (peer, protocol, payload, options = {}) =>
      requestOver(await openRaw(peer, protocol, options), payload, { ...options, clock }),
    open: async (peer, protocol, options = {}) =>
      createChannel(await openRaw(peer, protocol, options), { ...options, clock }),
    openStream: async (peer, protocol, options = {}) =>
      createByteStream(await openRaw(peer, protocol, options), { clock }),
    async handle(protocol, handler, options = {}) {
      const remove = handlers.add(protocol, handler, options)
      return async () => remove()
    },
    async closestPeers(key, options = {}) {
      options.signal?.throwIfAborted()
      const text = new TextEncoder()
      const known = running().reachable()
      const peers = known.map((peer) => ({ peer, idBytes: text.encode(peer) }))
      return (await closestFirst(key, peers)).slice(0, options.count ?? 20)
    },
    async publish(topic, data, options = {}) {
      options.signal?.throwIfAborted()
      if (data.length > MAX_MESSAGE_BYTES) throw frameTooLarge(topic, data.length, MAX_MESSAGE_BYTES)
      await running().publish(topic, data)
    },
    subscribe(topic, listener) {
      const own = (message: TopicMessage): void => listener(message)
      const of = topics.get(topic) ?? new Set()
      topics.set(topic, of.add(own))
      return () => {
        of.delete(own)
        if (of.size === 0 && topics.get(topic) === of) topics.delete(topic)
      }
    },
    onPeer(listener) {
      const own = (event: PeerEvent): void => listener(event)
      listeners.add(own)
      return () => void listeners.delete(own)
    }
  }
  return network
}

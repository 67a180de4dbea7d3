import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHTComponents } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { createBoundedDatastore } from './bounded-datastore.ts'
import {
  KAD_PROTOCOL,
  MAX_DATASTORE_ENTRIES,
  MAX_STREAMS_PER_CONNECTION,
  MAX_STREAM_WINDOW_BYTES
} from './constants.ts'
import { inOneWrite } from './one-write.ts'

export { peerIdFromString } from '@libp2p/peer-id'
export { multiaddr } from '@multiformats/multiaddr'

/** What a host is started with. */
export interface HostInit {
  /** The 32-byte seed of the Ed25519 key. */
  privateKey: Uint8Array
  listen: readonly string[]
  announce: readonly string[]
  bootstrap: readonly string[]
  maxConnections: number
  dialTimeoutMs: number
}

/** Makes a libp2p host, lets `prepare` have it, and starts it. */
export async function startHost(init: HostInit, prepare: (host: Libp2p) => Promise<void>): Promise<Libp2p> {
  const host = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', init.privateKey),
    datastore: createBoundedDatastore(MAX_DATASTORE_ENTRIES),
    addresses: { listen: [...init.listen], announce: [...init.announce] },
    transports: [tcp()],
    // TLS is about twice as fast as Noise between two Node.js processes; Noise is there for everybody else.
    connectionEncrypters: [inOneWrite(tls()), noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
        maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
        streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES }
      })
    ],
    connectionManager: {
      maxConnections: init.maxConnections,
      dialTimeout: init.dialTimeoutMs,
      // Both count by remote IP, and many peers may share one: a household, a carrier's NAT, this machine. The
      // bound is the number of connections.
      inboundConnectionThreshold: init.maxConnections,
      maxIncomingPendingConnections: init.maxConnections
    },
    // A peer that hangs is noticed; a peer that computes for a few seconds is not hanging.
    connectionMonitor: { pingTimeout: { minTimeout: 10_000, maxTimeout: 30_000 } },
    services: {
      identify: identify(),
      ping: ping({ maxInboundStreams: 32, maxOutboundStreams: 32 }),
      kad: (components: KadDHTComponents) =>
        kadDHT({
          protocol: KAD_PROTOCOL,
          // The default drops private addresses, and with them every peer of a home network.
          peerInfoMapper: passthroughMapper,
          clientMode: false,
          // A node that is alone gets its answer at once instead of waiting for company.
          allowQueryWithZeroPeers: true,
          validators: {},
          selectors: {}
        })(kadComponents(components))
    },
    start: false
  })
  try {
    await prepare(host)
    await host.start()
    return host
  } catch (error) {
    await Promise.resolve(host.stop()).catch(() => undefined)
    throw error
  }
}

/** What the Kademlia gets of the host: all of it, but for the store. */
function kadComponents(components: KadDHTComponents): KadDHTComponents {
  const { peerId, privateKey, registrar, addressManager, peerStore, connectionManager } = components
  const { events, logger, ping: pinger } = components
  return {
    peerId,
    privateKey,
    registrar,
    addressManager,
    peerStore,
    connectionManager,
    events,
    logger,
    ping: pinger,
    // The Kademlia finds addresses: neither values nor provider records are kept for anybody.
    datastore: createBoundedDatastore(0)
  }
}

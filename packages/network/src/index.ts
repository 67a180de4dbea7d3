/**
 * The libp2p host behind the `Network` contract: peers named by their keys, found by a Kademlia, talking in
 * framed channels, requests and byte streams over TCP with TLS or Noise.
 *
 * @packageDocumentation
 */
export { createNetwork, type NetworkComponents, type NetworkInit } from './network.ts'
export type { NetworkErrorCode } from './errors.ts'
export { addressPrefix } from './address-prefix.ts'
export {
  DEFAULT_DIAL_TIMEOUT_MS,
  DEFAULT_LISTEN,
  DEFAULT_MAX_CONNECTIONS,
  KAD_PROTOCOL
} from './constants.ts'

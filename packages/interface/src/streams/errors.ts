import type { PeerId } from '../common.ts'
import { KwaaiError } from '../errors.ts'

/** The codes every implementation of `Network` uses. */
export type NetworkErrorCode =
  /** A connection to the peer cannot be had. */
  | 'ERR_NETWORK_UNREACHABLE'
  /** An address or a peer id cannot be read. */
  | 'ERR_NETWORK_INVALID_ADDRESS'
  /** The peer does not answer the protocol. */
  | 'ERR_NETWORK_PROTOCOL_UNSUPPORTED'
  /** The protocol has a handler already. */
  | 'ERR_NETWORK_PROTOCOL_TAKEN'
  /** The peer took the request and gave no answer. */
  | 'ERR_NETWORK_REQUEST_FAILED'
  /** The channel or stream was reset, or the own side of it was closed. */
  | 'ERR_NETWORK_CHANNEL_CLOSED'
  /** A frame or message is longer than the limit. */
  | 'ERR_NETWORK_FRAME_TOO_LARGE'
  /** The network cannot do what was asked, or a package it needs is not installed. */
  | 'ERR_NETWORK_UNSUPPORTED'
  /** The address to listen on, or the peer id on a hub, is in use. */
  | 'ERR_NETWORK_ADDRESS_IN_USE'

/** The error for a peer that cannot be reached. */
export function unreachable(peer: PeerId, why: string, cause?: unknown): KwaaiError<NetworkErrorCode> {
  return new KwaaiError('ERR_NETWORK_UNREACHABLE', `Cannot reach peer ${peer}: ${why}`, {
    cause,
    details: { peer }
  })
}

/** The error for an address that cannot be read. */
export function invalidAddress(address: string, cause?: unknown): KwaaiError<NetworkErrorCode> {
  const shown = JSON.stringify(address.slice(0, 200))
  return new KwaaiError(
    'ERR_NETWORK_INVALID_ADDRESS',
    `Cannot read the address ${shown}: it is neither a multiaddr nor a peer id`,
    { cause, details: { address } }
  )
}

/** The error for a protocol the peer does not answer. */
export function protocolUnsupported(
  peer: PeerId,
  protocol: string,
  cause?: unknown
): KwaaiError<NetworkErrorCode> {
  return new KwaaiError(
    'ERR_NETWORK_PROTOCOL_UNSUPPORTED',
    `Cannot open ${protocol}: peer ${peer} does not answer it`,
    { cause, details: { peer, protocol } }
  )
}

/** The error for a stream that is gone. */
export function channelClosed(
  peer: PeerId,
  protocol: string,
  why: string,
  cause?: unknown
): KwaaiError<NetworkErrorCode> {
  return new KwaaiError(
    'ERR_NETWORK_CHANNEL_CLOSED',
    `The channel ${protocol} with peer ${peer} is closed: ${why}`,
    { cause, details: { peer, protocol } }
  )
}

/** The error for a frame or message above the limit. */
export function frameTooLarge(protocol: string, bytes: number, limit: number): KwaaiError<NetworkErrorCode> {
  return new KwaaiError(
    'ERR_NETWORK_FRAME_TOO_LARGE',
    `Cannot take a frame of ${bytes} bytes on ${protocol}: the limit is ${limit}`,
    { details: { protocol, bytes, limit } }
  )
}

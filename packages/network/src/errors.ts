import { KwaaiError } from '@kwaai/interface'
import type { NetworkErrorCode } from '@kwaai/interface/streams'

/** The codes of this room; every `Network` uses the same. */
export type { NetworkErrorCode } from '@kwaai/interface/streams'

/** The error for something this network cannot do. */
export function unsupported(message: string, cause?: unknown): KwaaiError<NetworkErrorCode> {
  return new KwaaiError('ERR_NETWORK_UNSUPPORTED', message, { cause })
}

/** The error for a listen address of another kind than this network's. */
export function cannotListen(address: string): KwaaiError<NetworkErrorCode> {
  const shown = JSON.stringify(address.slice(0, 200))
  return new KwaaiError(
    'ERR_NETWORK_INVALID_ADDRESS',
    `Cannot listen on ${shown}: expected an IP address and a TCP port, such as /ip4/127.0.0.1/tcp/4001`,
    { details: { address } }
  )
}

/** The error for a listen address that somebody else has. */
export function addressInUse(listen: readonly string[], cause: unknown): KwaaiError<NetworkErrorCode> {
  const addresses = listen.join(', ')
  return new KwaaiError(
    'ERR_NETWORK_ADDRESS_IN_USE',
    `Cannot listen on ${addresses}: the port is taken or not yours; name another one, or port 0 for any free one`,
    { cause, details: { listen: [...listen] } }
  )
}

/** The error for an address to dial that does not say who answers there. */
export function withoutPeer(address: string): KwaaiError<NetworkErrorCode> {
  return new KwaaiError(
    'ERR_NETWORK_INVALID_ADDRESS',
    `Cannot dial the address ${JSON.stringify(address.slice(0, 200))}: it does not end in /p2p/ and a peer id`,
    { details: { address } }
  )
}

/** The name of an error, for errors of libp2p, which have no codes. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

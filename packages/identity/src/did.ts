import type { Did, PeerId } from '@kwaai/interface'
import { decodeBase32, decodeBase58, encodeBase58 } from './base.ts'
import { concatBytes, equalBytes } from './bytes.ts'
import { ED25519_MULTICODEC, PUBLIC_KEY_BYTES } from './constants.ts'
import { ERR_IDENTITY_INVALID_DID, ERR_IDENTITY_INVALID_PEER_ID, identityError } from './errors.ts'
import { checkPublicKey, publicKeyFault } from './public-key.ts'
import { shown } from './shown.ts'

// A peer id is the identity multihash (0x00, 36 bytes) of the libp2p protobuf of the key (type 1, 32 bytes).
// Source: libp2p specification, peer-ids.
const peerIdPrefix = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20] as const
// The same as a CID: version 1, codec libp2p-key.
const cidPrefix = [0x01, 0x72] as const

// Bounds the decoders below: base58 takes time that grows with the square of the length.
const maxTextLength = 128

function keyAfter(bytes: Uint8Array | undefined, prefix: readonly number[]): Uint8Array | undefined {
  if (bytes?.length !== prefix.length + PUBLIC_KEY_BYTES) return undefined
  if (!equalBytes(bytes.subarray(0, prefix.length), Uint8Array.from(prefix))) return undefined
  return bytes.slice(prefix.length)
}

function keyOfDid(did: string): Uint8Array | undefined {
  if (!did.startsWith('did:key:z') || did.length > maxTextLength) return undefined
  return keyAfter(decodeBase58(did.slice('did:key:z'.length)), ED25519_MULTICODEC)
}

function keyOfPeerId(peerId: string): Uint8Array | undefined {
  if (peerId.length > maxTextLength) return undefined
  if (peerId.startsWith('ba')) return keyAfter(decodeBase32(peerId.slice(1)), [...cidPrefix, ...peerIdPrefix])
  return keyAfter(decodeBase58(peerId), peerIdPrefix)
}

function multicodecKey(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return concatBytes(ED25519_MULTICODEC, publicKey)
}

/**
 * The did:key of an Ed25519 public key, `did:key:z6Mk…`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the key is not canonical or of small order.
 */
export function didFromPublicKey(publicKey: Uint8Array): Did {
  return `did:key:z${encodeBase58(multicodecKey(checkPublicKey(publicKey)))}`
}

/**
 * The raw public key, 32 bytes, in a did:key.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` when it is not the did:key of a usable Ed25519 key.
 */
export function publicKeyFromDid(did: Did): Uint8Array {
  const key = keyOfDid(did)
  if (key === undefined || publicKeyFault(key) !== undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_DID,
      `Cannot read the DID: "${shown(did)}" is not the did:key of a usable Ed25519 key`
    )
  }
  return key
}

/**
 * The libp2p peer id of an Ed25519 public key, `12D3KooW…`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_KEY` when the key is not canonical or of small order.
 */
export function peerIdFromPublicKey(publicKey: Uint8Array): PeerId {
  return encodeBase58(concatBytes(peerIdPrefix, checkPublicKey(publicKey)))
}

/**
 * The raw public key, 32 bytes, in a peer id: base58 (`12D3KooW…`) or CID (`bafzaa…`).
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_PEER_ID` when it is not the peer id of a usable Ed25519 key; the peer
 * ids of RSA keys (`Qm…`) are hashes and hold no key.
 */
export function publicKeyFromPeerId(peerId: PeerId): Uint8Array {
  const key = keyOfPeerId(peerId)
  if (key === undefined || publicKeyFault(key) !== undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_PEER_ID,
      `Cannot read the peer id: "${shown(peerId)}" does not hold a usable Ed25519 key`
    )
  }
  return key
}

/**
 * The peer id of the key in a did:key.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` as {@link publicKeyFromDid} does.
 */
export function peerIdFromDid(did: Did): PeerId {
  return peerIdFromPublicKey(publicKeyFromDid(did))
}

/**
 * The did:key of the key in a peer id.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_PEER_ID` as {@link publicKeyFromPeerId} does.
 */
export function didFromPeerId(peerId: PeerId): Did {
  return didFromPublicKey(publicKeyFromPeerId(peerId))
}

/**
 * The did:key behind whatever a person may type: a did:key, a peer id, `did:peer:0z6Mk…` (did:peer with one
 * inlined key) or KwaaiNet's `did:peer:12D3KooW…`. Everything else in this package takes did:key alone.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_DID` when it is none of these.
 */
export function parseDid(text: string): Did {
  const peer = text.startsWith('did:peer:') ? text.slice('did:peer:'.length) : undefined
  const key =
    peer?.startsWith('0z') === true
      ? keyOfDid(`did:key:${peer.slice(1)}`)
      : (keyOfDid(text) ?? keyOfPeerId(peer ?? text))
  if (key === undefined || publicKeyFault(key) !== undefined) {
    throw identityError(
      ERR_IDENTITY_INVALID_DID,
      `Cannot read the DID: "${shown(text)}" names no usable Ed25519 key`
    )
  }
  return didFromPublicKey(key)
}

/** The signer field of an envelope: the key with its multicodec prefix. */
export function signerBytes(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return multicodecKey(checkPublicKey(publicKey))
}

/** The key of a signer field, or `undefined` when there is no usable one. */
export function publicKeyFromSignerBytes(bytes: Uint8Array): Uint8Array | undefined {
  const key = keyAfter(bytes, ED25519_MULTICODEC)
  return key === undefined || publicKeyFault(key) !== undefined ? undefined : key
}

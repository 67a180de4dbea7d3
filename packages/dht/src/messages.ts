import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import type { PeerId } from '@kwaai/interface'
import {
  MAX_ENVELOPE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  MAX_PEER_ID_LENGTH,
  MAX_PEERS_PER_MESSAGE,
  MAX_RECORDS_PER_MESSAGE
} from './constants.ts'
import { ERR_DHT_INVALID_MESSAGE, dhtError } from './errors.ts'
import { RequestSchema, ResponseSchema } from './gen/dht_pb.ts'
import { ID_BITS, type DhtId } from './id.ts'
import { keyFault } from './record.ts'

/** What a peer may ask; `proto/dht.proto` says what each means. */
export type DhtRequest =
  | { type: 'ping' }
  | { type: 'findPeers'; target: DhtId }
  | { type: 'findRecords'; key: string; after: string }
  | { type: 'store'; records: readonly Uint8Array[] }

/** What became of one record of a store request. */
export interface StoreOutcome {
  stored: boolean
  /** The newer envelope of the slot, when that is why it was not stored. */
  newer?: Uint8Array
}

/** What a peer answers. */
export type DhtResponse =
  | { type: 'pong' }
  | { type: 'peers'; peers: readonly PeerId[] }
  | { type: 'records'; records: readonly Uint8Array[]; next: string; closer: readonly PeerId[] }
  | { type: 'stored'; results: readonly StoreOutcome[] }

// A cursor is a did:key, a slash and a subkey.
const maxCursorLength = MAX_PEER_ID_LENGTH + 1 + MAX_NAME_BYTES

/** Writes a request. */
export function encodeRequest(request: DhtRequest): Uint8Array {
  return toBinary(RequestSchema, create(RequestSchema, { body: bodyOfRequest(request) }))
}

function bodyOfRequest(request: DhtRequest): NonNullable<MessageInitShape<typeof RequestSchema>['body']> {
  switch (request.type) {
    case 'ping':
      return { case: 'ping', value: {} }
    case 'findPeers':
      return { case: 'findPeers', value: { target: request.target } }
    case 'findRecords':
      return { case: 'findRecords', value: { key: request.key, after: request.after } }
    case 'store':
      return { case: 'store', value: { records: [...request.records] } }
  }
}

/**
 * Reads a request.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_MESSAGE` when it is none, or outside the limits.
 */
export function decodeRequest(bytes: Uint8Array): DhtRequest {
  const { body } = parse(() => fromBinary(RequestSchema, bounded(bytes), { readUnknownFields: false }))
  switch (body.case) {
    case 'ping':
      return { type: 'ping' }
    case 'findPeers':
      if (body.value.target.length !== ID_BITS / 8) throw invalid('its target has not 32 bytes')
      return { type: 'findPeers', target: body.value.target }
    case 'findRecords': {
      const { key, after } = body.value
      const fault = keyFault(key)
      if (fault !== undefined) throw invalid(fault)
      return { type: 'findRecords', key, after: checkCursor(after) }
    }
    case 'store':
      if (body.value.records.length === 0) throw invalid('it stores nothing')
      return { type: 'store', records: checkRecords(body.value.records) }
    default:
      throw invalid('it asks for nothing known')
  }
}

/** Writes a response. */
export function encodeResponse(response: DhtResponse): Uint8Array {
  return toBinary(ResponseSchema, create(ResponseSchema, { body: bodyOfResponse(response) }))
}

function bodyOfResponse(response: DhtResponse): NonNullable<MessageInitShape<typeof ResponseSchema>['body']> {
  switch (response.type) {
    case 'pong':
      return { case: 'pong', value: {} }
    case 'peers':
      return { case: 'peers', value: { peers: [...response.peers] } }
    case 'records': {
      const { records, next, closer } = response
      return { case: 'records', value: { records: [...records], next, closer: [...closer] } }
    }
    case 'stored':
      return { case: 'stored', value: { results: [...response.results] } }
  }
}

/**
 * Reads a response.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_MESSAGE` when it is none, or outside the limits.
 */
export function decodeResponse(bytes: Uint8Array): DhtResponse {
  const { body } = parse(() => fromBinary(ResponseSchema, bounded(bytes), { readUnknownFields: false }))
  switch (body.case) {
    case 'pong':
      return { type: 'pong' }
    case 'peers':
      return { type: 'peers', peers: checkPeers(body.value.peers) }
    case 'records': {
      const { records, next, closer } = body.value
      return {
        type: 'records',
        records: checkRecords(records),
        next: checkCursor(next),
        closer: checkPeers(closer)
      }
    }
    case 'stored': {
      const { results } = body.value
      if (results.length > MAX_RECORDS_PER_MESSAGE) throw invalid(`it holds ${results.length} results`)
      return {
        type: 'stored',
        results: results.map(({ stored, newer }) => (newer.length === 0 ? { stored } : { stored, newer }))
      }
    }
    default:
      throw invalid('it answers nothing known')
  }
}

function bounded(bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_MESSAGE_BYTES) throw invalid(`it has ${bytes.length} bytes`)
  return bytes
}

function parse<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw dhtError(ERR_DHT_INVALID_MESSAGE, 'Cannot read the message: it is not protobuf', cause)
  }
}

function checkRecords(records: readonly Uint8Array[]): readonly Uint8Array[] {
  if (records.length > MAX_RECORDS_PER_MESSAGE) throw invalid(`it holds ${records.length} records`)
  if (records.some(({ length }) => length > MAX_ENVELOPE_BYTES)) throw invalid('a record is too large')
  return records
}

function checkPeers(peers: readonly string[]): readonly PeerId[] {
  if (peers.length > MAX_PEERS_PER_MESSAGE) throw invalid(`it names ${peers.length} peers`)
  // Letters, digits, and what in-memory networks use; nothing an address or a path could be made of.
  if (peers.some((peer) => peer.length > MAX_PEER_ID_LENGTH || !/^[A-Za-z0-9_-]+$/.test(peer))) {
    throw invalid('it names a peer by something that is no peer id')
  }
  return peers
}

function checkCursor(cursor: string): string {
  if (cursor.length > maxCursorLength) throw invalid('its cursor is too long')
  return cursor
}

function invalid(why: string): Error {
  return dhtError(ERR_DHT_INVALID_MESSAGE, `Cannot read the message: ${why}`)
}

import type { Clock, PeerId } from '@kwaai/interface'
import { MAX_MESSAGE_BYTES, MAX_PEERS_PER_MESSAGE, MAX_RECORDS_PER_MESSAGE } from './constants.ts'
import { idOfKey, type DhtId } from './id.ts'
import { decodeRequest, encodeResponse, type DhtResponse, type StoreOutcome } from './messages.ts'
import { slotOf, type SignedRecord } from './record.ts'
import type { RecordTable } from './record-table.ts'
import type { RoutingTable } from './routing-table.ts'

// What is left of a message for records when it names its peers and its cursor.
const recordBudget = MAX_MESSAGE_BYTES - 16_384

/** What a node needs to answer others. */
export interface ServerComponents {
  clock: Clock
  table: RoutingTable
  records: RecordTable
  k: number
  openRecord: (envelope: Uint8Array) => Promise<SignedRecord>
  /** Hears of a peer first hand. */
  greet: (peer: PeerId) => void
  /** Offers a verified record to the node; says what became of it. */
  accept: (record: SignedRecord) => StoreOutcome
}

/**
 * Answers one request frame of a peer.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_MESSAGE` when it is no request; the network then resets the stream.
 */
export async function answerRequest(
  payload: Uint8Array,
  peer: PeerId,
  components: ServerComponents
): Promise<Uint8Array> {
  const request = decodeRequest(payload)
  // Not on a ping: the greeting is one, and two nodes with full buckets would greet each other without end.
  if (request.type !== 'ping') components.greet(peer)
  switch (request.type) {
    case 'ping':
      return encodeResponse({ type: 'pong' })
    case 'findPeers':
      return encodeResponse({ type: 'peers', peers: closer(request.target, peer, components) })
    case 'findRecords':
      return encodeResponse(recordPage(request.key, request.after, peer, components))
    case 'store': {
      const results: StoreOutcome[] = []
      for (const envelope of request.records) {
        const record = await components.openRecord(envelope).catch(() => undefined)
        results.push(record === undefined ? { stored: false } : components.accept(record))
      }
      return encodeResponse({ type: 'stored', results: withinBudget(results) })
    }
  }
}

function closer(target: DhtId, asker: PeerId, { table, k }: ServerComponents): PeerId[] {
  const count = Math.min(k, MAX_PEERS_PER_MESSAGE)
  return table
    .closest(target, count + 1)
    .filter((peer) => peer !== asker)
    .slice(0, count)
}

function recordPage(key: string, after: string, asker: PeerId, components: ServerComponents): DhtResponse {
  const { records, clock } = components
  const page: SignedRecord[] = []
  let bytes = 0
  let more = false
  for (const record of records.list(key, clock.now())) {
    if (slotOf(record) <= after) continue
    bytes += record.envelope.length + 8
    if (page.length === MAX_RECORDS_PER_MESSAGE || bytes > recordBudget) {
      more = true
      break
    }
    page.push(record)
  }
  const last = page.at(-1)
  return {
    type: 'records',
    records: page.map(({ envelope }) => envelope),
    next: more && last !== undefined ? slotOf(last) : '',
    closer: after === '' ? closer(idOfKey(key), asker, components) : []
  }
}

/** Leaves out newer versions that would make the answer too large; the asker finds them when it reads. */
function withinBudget(results: readonly StoreOutcome[]): StoreOutcome[] {
  let bytes = 0
  return results.map((result) => {
    bytes += result.newer?.length ?? 0
    return bytes > recordBudget ? { stored: result.stored } : result
  })
}

import type { Clock, PeerId, RecordInit, Signer } from '@kwaai/interface'
import {
  MAX_BACKGROUND_TASKS,
  MAX_MESSAGE_BYTES,
  MAX_PAGES,
  MAX_RECORDS_PER_MESSAGE,
  MAX_TTL_MS,
  REPAIR_INTERVAL_MS
} from './constants.ts'
import type { Contacts } from './contacts.ts'
import { ERR_DHT_INVALID_MESSAGE, ERR_DHT_STORE_FULL, dhtError } from './errors.ts'
import { compareDistance, idOfKey, idOfPeer, type DhtId } from './id.ts'
import { createLookup, runLookup } from './lookup.ts'
import type { StoreOutcome } from './messages.ts'
import { compareVersions, isTimely, signRecord, slotOf, type SignedRecord } from './record.ts'
import type { RecordTable } from './record-table.ts'
import type { RoutingTable } from './routing-table.ts'
import type { TaskSet } from './task-set.ts'

/** What walking and writing need of a node. */
export interface RecordClientComponents {
  self: PeerId
  identity: Signer
  clock: Clock
  table: RoutingTable
  records: RecordTable
  contacts: Contacts
  /** Where repairs run. */
  repairs: TaskSet
  k: number
  alpha: number
  /** Most records of one key taken from one peer. */
  perKey: number
  openRecord: (envelope: Uint8Array) => Promise<SignedRecord>
  accept: (record: SignedRecord) => StoreOutcome
}

/** Reads and writes records over the network. */
export interface RecordClient {
  /** The k closest peers to a point that answer. */
  findPeers(target: DhtId, signal: AbortSignal): Promise<PeerId[]>
  /** Every slot's newest record under a key, those withdrawn too, in the order of their slots. */
  collect(key: string, signal: AbortSignal): Promise<SignedRecord[]>
  /** Signs the next version of an own slot and brings it to its holders; `stored` counts the own node too. */
  write(
    record: Required<RecordInit> & { withdrawn: boolean },
    signal: AbortSignal
  ): Promise<{ stored: number; record: SignedRecord }>
}

/** What a writer remembers of an own slot. */
export interface Written {
  sequence: number
  /** The latest expiry of any version. */
  expiresAt: number
}

// Leaves room for the fields around the records.
const storeBudget = MAX_MESSAGE_BYTES - 1024

/** Makes the record client of a node. `written` outlives it: sequences go on where they were. */
export function createRecordClient(
  components: RecordClientComponents,
  written: Map<string, Written> = new Map()
): RecordClient {
  const { self, identity, clock, table, records, contacts, repairs, k, alpha, openRecord, accept } =
    components
  const repaired = new Map<string, number>()

  const walk = (
    target: DhtId,
    ask: (peer: PeerId, signal: AbortSignal) => Promise<readonly PeerId[]>,
    signal: AbortSignal
  ): Promise<PeerId[]> =>
    runLookup(createLookup({ self, target, k, seeds: table.closest(target, k) }), { alpha, ask, signal })

  const findPeers: RecordClient['findPeers'] = (target, signal) =>
    walk(
      target,
      async (peer, signal) => (await contacts.ask(peer, { type: 'findPeers', target }, signal)).peers,
      signal
    )

  /** All records a peer hands out under a key, and the peers it names. */
  const askForRecords = async (
    peer: PeerId,
    key: string,
    signal: AbortSignal
  ): Promise<{ held: Map<string, SignedRecord>; closer: readonly PeerId[] }> => {
    const held = new Map<string, SignedRecord>()
    let closer: readonly PeerId[] = []
    let after = ''
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer = await contacts.ask(peer, { type: 'findRecords', key, after }, signal)
      if (page === 0) closer = answer.closer
      for (const record of await Promise.all(answer.records.map(openRecord))) {
        // Honest peers verify what they hold, so one wrong record discredits the rest.
        if (record.key !== key)
          throw dhtError(ERR_DHT_INVALID_MESSAGE, `Cannot use the records of peer ${peer}`)
        held.set(slotOf(record), record)
      }
      if (answer.next <= after || held.size >= components.perKey) break
      after = answer.next
    }
    return { held, closer }
  }

  const repair = (key: string, peer: PeerId, missing: readonly SignedRecord[]): void => {
    const now = clock.monotonic()
    const name = `${peer} ${key}`
    if (now - (repaired.get(name) ?? -Infinity) < REPAIR_INTERVAL_MS) return
    repaired.delete(name)
    repaired.set(name, now)
    for (const oldest of repaired.keys()) {
      if (repaired.size <= MAX_BACKGROUND_TASKS * 32) break
      repaired.delete(oldest)
    }
    repairs.run((signal) => contacts.ask(peer, { type: 'store', records: fitting(missing) }, signal))
  }

  const collect: RecordClient['collect'] = async (key, signal) => {
    const newest = new Map<string, SignedRecord>()
    const merge = (record: SignedRecord): void => {
      const slot = slotOf(record)
      const known = newest.get(slot)
      if (known !== undefined ? compareVersions(record, known) > 0 : newest.size < 4 * components.perKey) {
        newest.set(slot, record)
      }
    }
    const heldBy = new Map<PeerId, Map<string, SignedRecord>>()
    for (const record of records.list(key, clock.now())) merge(record)
    const target = idOfKey(key)
    const closest = await walk(
      target,
      async (peer, signal) => {
        const { held, closer } = await askForRecords(peer, key, signal)
        heldBy.set(peer, held)
        for (const record of held.values()) if (isTimely(record, clock.now())) merge(record)
        return closer
      },
      signal
    )
    const found = [...newest.values()].filter((record) => isTimely(record, clock.now()))
    // Kademlia, section 2.3, stores what a lookup found at the closest peer that lacked it; we at all of them.
    for (const peer of closest) {
      const held = heldBy.get(peer)
      const missing = found.filter((record) => {
        const theirs = held?.get(slotOf(record))
        return theirs === undefined || compareVersions(record, theirs) > 0
      })
      if (missing.length > 0) repair(key, peer, missing)
    }
    const farthest = closest.length < k ? undefined : closest.at(-1)
    if (farthest === undefined || compareDistance(target, idOfPeer(self), idOfPeer(farthest)) < 0) {
      for (const record of found) accept(record)
    }
    return found.toSorted((a, b) => (slotOf(a) < slotOf(b) ? -1 : 1))
  }

  /** Offers an own record to its holders; gives their number and the newest version any of them showed. */
  const replicate = async (
    record: SignedRecord,
    signal: AbortSignal
  ): Promise<{ stored: number; newer: SignedRecord | undefined }> => {
    let stored = 1
    let newer: SignedRecord | undefined
    const holders = await findPeers(idOfKey(record.key), signal)
    await Promise.all(
      holders.map(async (peer) => {
        try {
          const message = { type: 'store', records: [record.envelope] } as const
          const [result] = (await contacts.ask(peer, message, signal)).results
          if (result?.stored === true) stored += 1
          if (result?.newer === undefined) return
          const theirs = await openRecord(result.newer)
          // Only the own signature shows that the own slot is further on.
          const own = theirs.key === record.key && slotOf(theirs) === slotOf(record)
          if (own && compareVersions(theirs, newer ?? record) > 0) newer = theirs
        } catch {
          // The others hold it.
        }
      })
    )
    signal.throwIfAborted()
    return { stored, newer }
  }

  const write: RecordClient['write'] = async (init, signal) => {
    const { key, subkey, value, withdrawn } = init
    const name = JSON.stringify([key, subkey])
    const held = records.get(key, slotOf({ signer: identity.did, subkey }))
    const remember = ({ sequence, expiresAt }: Written): Written => {
      const known = written.get(name) ?? { sequence: 0, expiresAt: 0 }
      const next = {
        sequence: Math.max(known.sequence, sequence),
        expiresAt: Math.max(known.expiresAt, expiresAt)
      }
      written.set(name, next)
      return next
    }
    if (held !== undefined) remember(held)
    // Twice at most: an earlier life of this identity may have written higher numbers than its clock shows now.
    for (let attempt = 0; ; attempt++) {
      const now = Math.floor(clock.now())
      const before = written.get(name)
      const sequence = Math.max(now, (before?.sequence ?? 0) + 1)
      const expiresAt = withdrawn
        ? // As long as any older version could be played back; a day when none is known.
          Math.min(Math.max(before?.expiresAt ?? now + MAX_TTL_MS, now + 1), now + MAX_TTL_MS)
        : now + Math.ceil(init.ttlMs)
      remember({ sequence, expiresAt })
      const record = await signRecord(identity, { key, subkey, value, sequence, expiresAt, withdrawn })
      signal.throwIfAborted()
      if (!accept(record).stored) {
        throw dhtError(ERR_DHT_STORE_FULL, 'Cannot put the record: the own node holds all it may')
      }
      const { stored, newer } = await replicate(record, signal)
      if (newer === undefined || attempt > 0) return { stored, record }
      remember(newer)
    }
  }

  return { findPeers, collect, write }
}

/** As many records as one message holds. */
function fitting(records: readonly SignedRecord[]): Uint8Array[] {
  let bytes = 0
  return records
    .slice(0, MAX_RECORDS_PER_MESSAGE)
    .map(({ envelope }) => envelope)
    .filter(({ length }) => (bytes += length + 8) <= storeBudget)
}

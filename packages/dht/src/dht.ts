import type {
  CallOptions,
  Clock,
  KeyValueStore,
  Network,
  PeerId,
  PutResult,
  Random,
  RecordInit,
  RecordStore,
  Signer,
  StoredRecord
} from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { createAnnouncement } from './announce.ts'
import {
  ANNOUNCE_LIVES,
  DEFAULT_ANNOUNCE_INTERVAL_MS,
  DEFAULT_WATCH_INTERVAL_MS,
  DHT_PROTOCOL,
  MAX_BACKGROUND_TASKS,
  MAX_MESSAGE_BYTES,
  MAX_STREAMS_PER_PEER,
  MAX_TTL_MS
} from './constants.ts'
import { createContacts } from './contacts.ts'
import { ERR_DHT_INVALID_OPTION, ERR_DHT_INVALID_RECORD, ERR_DHT_NOT_RUNNING, dhtError } from './errors.ts'
import { idOfKey } from './id.ts'
import { createMembership } from './membership.ts'
import type { StoreOutcome } from './messages.ts'
import { settingsOf, type DhtInit } from './options.ts'
import { createPersistence } from './persistence.ts'
import { checkRecord, createRecordOpener, keyFault, type SignedRecord } from './record.ts'
import { createRecordClient, type RecordClient, type Written } from './record-client.ts'
import { createRecordTable } from './record-table.ts'
import { createRoutingTable } from './routing-table.ts'
import { answerRequest } from './server.ts'
import { createTaskSet, type TaskSet } from './task-set.ts'
import { createChangeSignals, watchRecords } from './watch.ts'

/** What a DHT node needs. */
export interface DhtComponents {
  /** Started before the DHT, stopped after it. */
  network: Network
  /** Signs the own records. */
  identity: Signer
  /** Default the system's. */
  clock?: Clock
  /** Default the system's. */
  random?: Random
  /** Keeps the records over a restart. Default: they are gathered anew. */
  store?: KeyValueStore
}

/** What a node holds and knows. */
export interface DhtStats {
  /** Peers in the routing table. */
  peers: number
  /** Records held. */
  records: number
  /** Bytes of the records held. */
  recordBytes: number
}

/** A node of the DHT: a record store that many peers are together. */
export interface Dht extends RecordStore {
  /** Takes back the own record of a slot: its older versions are outranked until the last of them has expired. */
  withdraw(record: Pick<RecordInit, 'key' | 'subkey'>, options?: CallOptions): Promise<PutResult>
  /** The peers closest to a key that answer now, closest first, at most k, without the own. */
  findPeers(key: string, options?: CallOptions): Promise<PeerId[]>
  /** Peers in the routing table: each has answered, none has failed twice since. */
  peers(): PeerId[]
  stats(): DhtStats
}

/** What runs between start and stop. */
interface Session {
  client: RecordClient
  tasks: TaskSet
  /** Ends the session. */
  end(): Promise<void>
}

/**
 * Makes a node of the DHT: Kademlia (Maymounkov and Mazières, 2002) over any `Network`, with signed records.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_OPTION` when an option is outside its range.
 */
export function createDht(init: DhtInit, components: DhtComponents): Dht {
  const settings = settingsOf(init)
  const { network, identity, clock = systemClock, random = systemRandom } = components
  const { k, alpha, quotas } = settings
  const table = createRoutingTable({ self: network.peerId, k })
  const records = createRecordTable(quotas)
  const persistence = createPersistence(components.store)
  const openRecord = createRecordOpener()
  const changes = createChangeSignals()
  const written = new Map<string, Written>()
  const notRunning = (): Error => dhtError(ERR_DHT_NOT_RUNNING, 'Cannot use the DHT: it is not running')
  let session: Session | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const accept = (record: SignedRecord): StoreOutcome => {
    const admission = records.put(record, clock.now())
    if (admission.type === 'stored') {
      persistence.held(record)
      changes.changed(record.key)
    }
    if (admission.type === 'stale') return { stored: false, newer: admission.newer.envelope }
    return { stored: admission.type === 'stored' || admission.type === 'same' }
  }

  const load = async (): Promise<void> => {
    for (const envelope of await persistence.load(quotas.total)) {
      const record = await openRecord(envelope).catch(() => undefined)
      if (record !== undefined) records.put(record, clock.now())
    }
  }

  const sweep = async (): Promise<void> => {
    const now = clock.now()
    for (const record of records.sweep(now)) {
      persistence.forgotten(record)
      changes.changed(record.key)
    }
    // From then on the clock alone gives a higher sequence.
    for (const [name, { sequence, expiresAt }] of written) {
      if (expiresAt < now && sequence < now) written.delete(name)
    }
    // A store that fails does not take the records in memory with it; the next sweep writes them again.
    await persistence.flush().catch(() => undefined)
  }

  const begin = async (): Promise<{ session: Session; join: (signal: AbortSignal) => Promise<void> }> => {
    const greetings = createTaskSet(MAX_BACKGROUND_TASKS, notRunning)
    const repairs = createTaskSet(MAX_BACKGROUND_TASKS, notRunning)
    const tasks = createTaskSet(Infinity, notRunning)
    const { requestTimeoutMs } = settings
    const contacts = createContacts({ network, clock, table, tasks: greetings, requestTimeoutMs })
    const client = createRecordClient(
      {
        self: network.peerId,
        identity,
        clock,
        table,
        records,
        contacts,
        repairs,
        k,
        alpha,
        perKey: quotas.perKey,
        openRecord,
        accept
      },
      written
    )
    const { findPeers } = client
    const membership = createMembership({ network, clock, random, table, contacts, settings, findPeers })
    const server = { clock, table, records, k, openRecord, accept, greet: contacts.greet }
    const unhandle = await network.handle(
      DHT_PROTOCOL,
      {
        onRequest: (payload, { peer }) => answerRequest(payload, peer, server)
      },
      { maxFrameBytes: MAX_MESSAGE_BYTES, maxStreamsPerPeer: MAX_STREAMS_PER_PEER }
    )
    const unwatch = network.onPeer(({ type, peer }) => {
      if (type === 'connect') contacts.greet(peer)
    })
    const end = async (): Promise<void> => {
      unwatch()
      await unhandle()
      await Promise.all([tasks.stop(), greetings.stop(), repairs.stop()])
      await persistence.flush().catch(() => undefined)
    }
    const join = async (signal: AbortSignal): Promise<void> => {
      await membership.join(signal)
      tasks.run(membership.run)
      tasks.run(async (stopped) => {
        for (;;) {
          await clock.sleep(settings.sweepIntervalMs, { signal: stopped })
          await sweep()
        }
      })
    }
    return { session: { client, tasks, end }, join }
  }

  /** Runs a call within the session: it ends with the caller's signal or with the DHT. */
  const within = async <T>(
    options: CallOptions,
    call: (client: RecordClient, signal: AbortSignal) => Promise<T>
  ): Promise<T> => {
    if (session === undefined) throw notRunning()
    options.signal?.throwIfAborted()
    const { client, tasks } = session
    const signals = options.signal === undefined ? [tasks.signal] : [options.signal, tasks.signal]
    return call(client, AbortSignal.any(signals))
  }

  const write = (
    record: Required<RecordInit> & { withdrawn: boolean },
    options: CallOptions
  ): Promise<PutResult> =>
    within(options, async (client, signal) => {
      checkRecord(record)
      // A copy: signing takes a moment.
      const { stored, record: put } = await client.write({ ...record, value: record.value.slice() }, signal)
      return { stored, sequence: put.sequence, expiresAt: put.expiresAt }
    })

  const checkKey = (key: string): void => {
    const fault = keyFault(key)
    if (fault !== undefined) throw dhtError(ERR_DHT_INVALID_RECORD, `Cannot look for the key: ${fault}`)
  }

  const live = (found: readonly SignedRecord[]): StoredRecord[] =>
    found
      .filter(({ withdrawn }) => !withdrawn)
      .map(({ key, subkey, signer, value, sequence, expiresAt }) => ({
        key,
        subkey,
        signer,
        value: value.slice(),
        sequence,
        expiresAt
      }))

  const dht: Dht = {
    specification: 'kwaai.record-store/1',
    start: (options = {}) => {
      const started = turn.then(async () => {
        if (session !== undefined) return
        options.signal?.throwIfAborted()
        await load()
        const { session: begun, join } = await begin()
        session = begun
        try {
          await within(options, (_client, signal) => join(signal))
        } catch (error) {
          session = undefined
          await begun.end()
          throw error
        }
      })
      turn = started.catch(() => undefined)
      return started
    },
    stop: () => {
      // Aborted at once, so that a start in progress ends too; taken down in its turn.
      const ending = session?.end()
      const stopped = turn.then(async () => {
        const current = session
        session = undefined
        await ending
        await current?.end()
      })
      turn = stopped
      return stopped
    },
    [Symbol.asyncDispose]: () => dht.stop(),
    put: (record, options = {}) =>
      write(
        {
          subkey: '',
          ttlMs: ANNOUNCE_LIVES * DEFAULT_ANNOUNCE_INTERVAL_MS,
          ...record,
          withdrawn: false
        },
        options
      ),
    withdraw: ({ key, subkey = '' }, options = {}) =>
      write({ key, subkey, value: new Uint8Array(), ttlMs: MAX_TTL_MS, withdrawn: true }, options),
    get: (key, options = {}) =>
      within(options, async (client, signal) => {
        checkKey(key)
        return live(await client.collect(key, signal))
      }),
    async *watch(key, options = {}) {
      if (session === undefined) throw notRunning()
      checkKey(key)
      const { client, tasks } = session
      yield* watchRecords({
        key,
        intervalMs: options.intervalMs ?? DEFAULT_WATCH_INTERVAL_MS,
        clock,
        changes,
        get: async (signal) => live(await client.collect(key, signal)),
        signal: options.signal === undefined ? tasks.signal : AbortSignal.any([options.signal, tasks.signal])
      })
    },
    announce: async (record, options = {}) => {
      const intervalMs = options.intervalMs ?? DEFAULT_ANNOUNCE_INTERVAL_MS
      if (!(Number.isFinite(intervalMs) && intervalMs > 0)) {
        throw dhtError(ERR_DHT_INVALID_OPTION, `Cannot announce the record: the interval is ${intervalMs} ms`)
      }
      const ttlMs = record.ttlMs ?? Math.min(ANNOUNCE_LIVES * intervalMs, MAX_TTL_MS)
      const { key, subkey = '' } = record
      await dht.put({ ...record, ttlMs }, options)
      if (session === undefined) throw notRunning()
      return createAnnouncement({
        value: record.value.slice(),
        intervalMs,
        clock,
        tasks: session.tasks,
        put: (value, options) => dht.put({ key, subkey, value, ttlMs }, options),
        withdraw: (options) => dht.withdraw({ key, subkey }, options)
      })
    },
    findPeers: (key, options = {}) =>
      within(options, async (client, signal) => {
        checkKey(key)
        return client.findPeers(idOfKey(key), signal)
      }),
    peers: () => table.peers(),
    stats: () => ({ peers: table.size, records: records.count, recordBytes: records.bytes })
  }
  return dht
}

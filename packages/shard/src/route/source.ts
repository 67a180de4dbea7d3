import {
  KwaaiError,
  type CallOptions,
  type Did,
  type EvidenceSink,
  type Outcome,
  type RecordStore,
  type Startable,
  type StoredRecord
} from '@kwaai/interface'
import { peerIdFromDid } from '@kwaai/identity'
import { shardError } from '../errors.ts'
import type { BlockPipelineSource } from '../generate/pipeline.ts'
import {
  openChain,
  type ChainComponents,
  type ChainOptions,
  type ChainPlan,
  type ShardChain
} from '../session/chain.ts'
import { retryAfterOf } from '../session/failure.ts'
import { advertKey, decodeAdvert, type Advert } from './advert.ts'
import { createHolds } from './holds.ts'
import { planChain, type Planning } from './plan.ts'

/** Which model, and how its chains are chosen and opened. */
export interface ChainSourceInit extends Omit<
  ChainOptions,
  'maxTokens' | 'signal' | 'onFailure' | 'traceparent'
> {
  /** SHA-256 of the model file, 64 lower-case hex digits. */
  modelHash: string
  /** Blocks of the whole model. */
  blockCount: number
  /** The class preferred before all others. */
  numericsClass?: string
  /** Take the cheapest chain even where one server holds the whole model. Default false. */
  split?: boolean
  /** Chains tried before an opening fails. Default 4. */
  maxAttempts?: number
}

/** What a source needs. */
export interface ChainSourceComponents extends ChainComponents {
  records: RecordStore
  /** Told how servers did, context `shard/forward`. */
  evidence?: EvidenceSink
}

/** Finds and opens chains for one model. */
export interface ChainSource extends BlockPipelineSource, Startable {
  open(init: { maxTokens: number }, options?: CallOptions): Promise<ShardChain>
  /** The servers known now. */
  adverts(): readonly Advert[]
  /** The chain that would be opened now, or why there is none, and what became of every advert. */
  plan(init?: { maxTokens?: number }): Planning
}

/** Adverts looked at. */
const maxAdverts = 1_024
/** Reasons an error carries. */
const maxReasons = 32
/** Milliseconds between two looks of one's own into the record store. */
const lookMs = 1_000
/** When to come again where nothing better is known. */
const retryAfterMs = 5_000
/** Codes of servers that are not what they announced. */
const broken: readonly string[] = [
  'ERR_SHARD_MODEL_MISMATCH',
  'ERR_SHARD_RANGE_MISMATCH',
  'ERR_SHARD_NUMERICS_MISMATCH',
  'ERR_SHARD_INVALID_RESULT'
]

/**
 * Makes a source that follows the adverts of a model. A server that fails is left out for a while, longer with
 * each failure in a row; an opening tries the next best chain.
 */
export function createChainSource(init: ChainSourceInit, components: ChainSourceComponents): ChainSource {
  const { network, records, clock, random, evidence, logger } = components
  const { modelHash, blockCount, numericsClass, split, maxAttempts = 4, ...chainOptions } = init
  const key = advertKey(modelHash)
  const holds = createHolds(clock, random)
  let adverts: readonly Advert[] = []
  let signers: ReadonlyMap<string, Did> = new Map()
  let lookedAt = -Infinity
  let lifetime: AbortController | undefined

  const take = (found: readonly StoredRecord[]): void => {
    const next: Advert[] = []
    const names = new Map<string, Did>()
    for (const record of found.slice(0, maxAdverts)) {
      try {
        const advert = decodeAdvert(record.value)
        // Only a server itself may say what it serves.
        if (peerIdFromDid(record.signer) !== advert.peer) throw new Error('it speaks for another peer')
        next.push(advert)
        names.set(advert.peer, record.signer)
      } catch (error) {
        logger?.log('debug', 'shard.advert.refused', { signer: record.signer, error: String(error) })
      }
    }
    adverts = next
    signers = names
  }

  const follow = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        for await (const found of records.watch(key, { signal })) {
          failures = 0
          take(found)
        }
      } catch (error) {
        if (!signal.aborted) logger?.log('warn', 'shard.adverts.failed', { error: String(error) })
      }
      await clock.sleep(Math.min(30_000, 1000 * 2 ** failures), { signal }).catch(() => undefined)
    }
  }

  const plan = ({ maxTokens = 1 }: { maxTokens?: number } = {}): Planning =>
    planChain(adverts, {
      modelHash,
      blockCount,
      maxTokens,
      // The own server is no way off.
      rttMs: (peer) => (peer === network.peerId ? 0 : network.connection(peer)?.rttMs),
      excluded: holds.reason,
      ...(numericsClass === undefined ? {} : { numericsClass }),
      ...(split === undefined ? {} : { split })
    })

  /** A plan; where there is none, after a look into the record store that is not older than a second. */
  const planNow = async (maxTokens: number, options: CallOptions): Promise<Planning> => {
    const first = plan({ maxTokens })
    if (first.plan !== undefined || clock.monotonic() - lookedAt < lookMs) return first
    lookedAt = clock.monotonic()
    try {
      take(await records.get(key, options))
    } catch (error) {
      options.signal?.throwIfAborted()
      logger?.log('warn', 'shard.adverts.failed', { error: String(error) })
    }
    return plan({ maxTokens })
  }

  const record = (peer: string, outcome: Omit<Outcome, 'subject' | 'context'>): void => {
    const subject = signers.get(peer)
    if (subject !== undefined) evidence?.record({ subject, context: 'shard/forward', ...outcome })
  }

  /** Leaves the peer out that an error names. @returns false for an error that names none. */
  const blame = (error: unknown): boolean => {
    const peer = KwaaiError.is(error) ? error.details['peer'] : undefined
    if (!KwaaiError.is(error) || typeof peer !== 'string') return false
    const waitMs = retryAfterOf(error)
    holds.add(peer, `${error.code} ${error.message}`, waitMs)
    // A server that says when it has room again did nothing wrong.
    if (waitMs === undefined) record(peer, { kind: broken.includes(error.code) ? 'violation' : 'failure' })
    return true
  }

  const watched = (chain: ShardChain): ShardChain => ({
    ...chain,
    async [Symbol.asyncDispose]() {
      await chain[Symbol.asyncDispose]()
      for (const { peer, steps, rows, computeMs, queueMs, roundTripMs } of chain.stats()) {
        if (steps === 0 || holds.reason(peer) !== undefined) continue
        holds.clear(peer)
        record(peer, { kind: 'success', measures: { steps, rows, computeMs, queueMs, roundTripMs } })
      }
    }
  })

  const unavailable = (why: string, planning: Planning, cause?: unknown): Error =>
    shardError('ERR_MODEL_UNAVAILABLE', `Cannot open the session: ${why}`, {
      cause,
      details: {
        retryAfterMs: Math.ceil(holds.nextMs() ?? retryAfterMs),
        reasons: planning.explain
          .slice(0, maxReasons)
          .map(({ advert: { peer, from, to }, reason }) => ({ peer, from, to, reason }))
      }
    })

  const openPlan = (chosen: ChainPlan, maxTokens: number, options: CallOptions): Promise<ShardChain> =>
    openChain(chosen, components, { ...chainOptions, ...options, maxTokens, onFailure: blame })

  const source: ChainSource = {
    async start() {
      if (lifetime !== undefined) return
      lifetime = new AbortController()
      void follow(lifetime.signal)
    },
    async stop() {
      lifetime?.abort()
      lifetime = undefined
    },
    async [Symbol.asyncDispose]() {
      await source.stop()
    },
    adverts: () => adverts,
    plan,
    ready: () => plan().plan !== undefined,
    async open({ maxTokens }, options = {}) {
      let failure: unknown
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const planning = await planNow(maxTokens, options)
        if (planning.plan === undefined)
          throw unavailable(planning.problem ?? 'nobody serves the model', planning, failure)
        try {
          return watched(await openPlan(planning.plan, maxTokens, options))
        } catch (error) {
          options.signal?.throwIfAborted()
          if (!blame(error)) throw error
          failure = error
          logger?.log('info', 'shard.open.failed', { attempt, error: String(error) })
        }
      }
      const last = KwaaiError.is(failure) ? failure.message : String(failure)
      throw unavailable(
        `${maxAttempts} chains failed, the last one so: ${last}`,
        plan({ maxTokens }),
        failure
      )
    }
  }
  return source
}

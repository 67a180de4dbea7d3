import {
  KwaaiError,
  type CallOptions,
  type EvidenceSink,
  type Outcome,
  type ModelDescription,
  type RecordStore,
  type RouteConstraints,
  type RouteExplanation,
  type Startable,
  type TrustView
} from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { BlockPipelineInit, BlockPipelineSource } from '../generate/pipeline.ts'
import { openChain } from '../session/chain.ts'
import type { ChainComponents, ChainOptions } from '../session/chain-options.ts'
import type { PlannedHop } from '../session/hop.ts'
import type { Advert } from './advert.ts'
import { createAdvertView } from './advert-view.ts'
import { createBreaker, probeLeaseMs } from './breaker.ts'
import { checkConstraints, mergeConstraints } from './constraints.ts'
import { coverageOf } from './coverage.ts'
import { explanationOf } from './explanation.ts'
import { createOpeningLine } from './opening-line.ts'
import { createPeerFacts } from './peer-facts.ts'
import { planChain, type PlanInit, type Planning, type SpanPlanning } from './plan.ts'
import { createRoomMemory } from './room.ts'
import { createRouteSession, type RoutedChain, type RouteSession } from './route-session.ts'

/** Which model, and how its chains are chosen and opened. */
export interface ChainSourceInit extends Omit<
  ChainOptions,
  'maxTokens' | 'signal' | 'onFailure' | 'traceparent'
> {
  /** SHA-256 of the model file, 64 lower-case hex digits. */
  modelHash: string
  /** Blocks of the whole model. */
  blockCount: number
  /** Held against every server unless a request names its own. Default: none. */
  constraints?: RouteConstraints
  /** The class preferred before all others. */
  numericsClass?: string
  /** Take the cheapest chain even where one server holds the whole model. Default false. */
  split?: boolean
  /**
   * Milliseconds of a round trip above which a server gets no part of the model, only a whole one. Default
   * 150.
   */
  maxSplitRttMs?: number
  /** Chains tried before an opening fails. Default 4. */
  maxAttempts?: number
  /**
   * Milliseconds after its first look for servers until which an opening waits for those that would do and are left
   * out for a moment, or are being tried by another request; 0 to refuse it at once. Default 5,000.
   */
  maxWaitMs?: number
}

/** What a source needs. */
export interface ChainSourceComponents extends Omit<ChainComponents, 'planner'> {
  records: RecordStore
  /** Judges servers, context `shard/forward`; without it constraints of tier and score are met by nobody. */
  trust?: TrustView
  /** Told how servers did, context `shard/forward`. */
  evidence?: EvidenceSink
}

/** What a chain is asked for. */
export interface ChainRequest extends BlockPipelineInit {
  /** Hops of an earlier chain that are preferred. */
  keep?: readonly PlannedHop[]
}

/** Finds and opens chains for one model. */
export interface ChainSource extends BlockPipelineSource, Startable {
  /**
   * @throws A KwaaiError `ERR_MODEL_UNAVAILABLE` with `details.reasons` (of each server why it was not
   * taken), and `details.unmet` (the constraints that leave no servers) or `details.retryAfterMs`;
   * `ERR_SHARD_INVALID_INIT` for constraints that make no sense.
   */
  open(init: ChainRequest, options?: CallOptions): Promise<RoutedChain>
  /** The servers known now. */
  adverts(): readonly Advert[]
  /**
   * The chain that would be opened now, or why there is none, and what became of every advert. Trust is what
   * was last found out.
   */
  plan(init?: Partial<ChainRequest>): Planning
  /**
   * The same in the words of a language model, with what constraints ask of servers found out first: their round
   * trips, how far they are trusted.
   *
   * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` for constraints that make no sense.
   */
  explain(init: ChainRequest, options?: CallOptions): Promise<RouteExplanation>
  /** How many of the servers known now hold each range of blocks, whether or not they have room. */
  coverage(): NonNullable<ModelDescription['coverage']>
}

/** Reasons an error carries. */
const maxReasons = 32
/** When to come again where nothing better is known. */
const retryAfterMs = 5_000
const defaultMaxWaitMs = 5_000

/**
 * Makes a source that follows the adverts of a model and holds servers to constraints. A server that fails is
 * left out for a while, longer with each failure in a row, and then tried by one request; an opening tries
 * the next best chain, and waits a while where servers are only left out for a moment.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` for constraints or a `maxWaitMs` that make no sense.
 */
export function createChainSource(init: ChainSourceInit, components: ChainSourceComponents): ChainSource {
  const { network, clock, random, evidence, trust, logger } = components
  const { constraints: defaults, maxAttempts = 4, modelHash, blockCount, numericsClass, ...rest } = init
  const { split, maxSplitRttMs, maxWaitMs = defaultMaxWaitMs, ...chainOptions } = rest
  checkConstraints(defaults ?? {})
  if (!(maxWaitMs >= 0)) {
    throw shardError(
      'ERR_SHARD_INVALID_INIT',
      `Cannot make the source: maxWaitMs is ${maxWaitMs}, not 0 or more`
    )
  }
  let lifetime: AbortController | undefined
  let stops = 0
  const line = createOpeningLine(clock)
  const view = createAdvertView(
    {
      modelHash,
      // Who is far is to be known before somebody asks; a source that only opens measures no more than it must.
      onChange() {
        if (lifetime !== undefined) void facts.measure(view.adverts())
        line.changed()
      }
    },
    components
  )
  const facts = createPeerFacts({ network, clock, random, didOf: view.signer, ...(trust && { trust }) })
  const breaker = createBreaker(clock, random, line.changed)
  const room = createRoomMemory(clock)

  const planInit = (): PlanInit => ({
    modelHash,
    blockCount,
    rttMs: facts.rttMs,
    trust: facts.trust,
    ...(chainOptions.topology === undefined ? {} : { topology: chainOptions.topology }),
    ...(numericsClass === undefined ? {} : { numericsClass }),
    ...(split === undefined ? {} : { split }),
    ...(maxSplitRttMs === undefined ? {} : { maxSplitRttMs })
  })
  const plan = ({ constraints, ...wanted }: Partial<ChainRequest> = {}): Planning =>
    planChain(view.adverts(), {
      ...planInit(),
      ...wanted,
      excluded: (peer) => breaker.reason(peer) ?? room.reason(peer, wanted.maxTokens ?? 1),
      constraints: mergeConstraints(defaults, constraints)
    })

  const record = (peer: string, outcome: Omit<Outcome, 'subject' | 'context'>): void => {
    const subject = view.signer(peer)
    if (subject !== undefined) evidence?.record({ subject, context: 'shard/forward', ...outcome })
  }

  const nextMs = (): number | undefined => {
    const waits = [breaker.nextMs(), room.nextMs()].filter((ms) => ms !== undefined)
    return waits.length === 0 ? undefined : Math.min(...waits)
  }

  const unavailable = (why: string, planning: SpanPlanning, cause?: unknown): Error =>
    shardError('ERR_MODEL_UNAVAILABLE', `Cannot open the session: ${why}`, {
      cause,
      details: {
        ...(planning.unmet.length > 0
          ? { unmet: planning.unmet }
          : { retryAfterMs: Math.ceil(nextMs() ?? retryAfterMs) }),
        reasons: planning.explain
          .slice(0, maxReasons)
          .map(({ advert: { peer, from, to }, reason }) => ({ peer, from, to, reason }))
      }
    })

  /** Plans; where there are only servers that are left out or tried by others, again when that changes. */
  const createPlans = (session: RouteSession, options: CallOptions): (() => Promise<SpanPlanning>) => {
    let endsAt: number | undefined
    const before = stops
    return async () => {
      for (;;) {
        const since = line.changes
        const planning = await session.plan(options)
        const now = clock.monotonic()
        endsAt ??= now + maxWaitMs
        const leftMs = endsAt - now
        if (planning.hops !== undefined || leftMs <= 0 || stops !== before) return planning
        if (!session.hopeful(leftMs)) return planning
        // A probe that nobody hears of again ends unnoticed.
        const waitMs = Math.min(leftMs, breaker.nextMs() ?? leftMs, probeLeaseMs)
        if (!(await line.wait(since, waitMs, options))) return planning
      }
    }
  }

  const source: ChainSource = {
    routes: true,
    async start() {
      if (lifetime !== undefined) return
      lifetime = new AbortController()
      void view.follow(lifetime.signal)
    },
    async stop() {
      lifetime?.abort()
      lifetime = undefined
      // Nobody waits for a source that has ended.
      stops++
      line.changed()
    },
    async [Symbol.asyncDispose]() {
      await source.stop()
    },
    adverts: view.adverts,
    plan,
    ready: () => plan().plan !== undefined,
    coverage: () => coverageOf(view.adverts(), blockCount),
    async explain(init, options = {}) {
      const constraints = mergeConstraints(defaults, init.constraints)
      checkConstraints(constraints)
      await facts.find(view.adverts(), constraints, options)
      const first = plan(init)
      if (first.plan !== undefined || !(await view.look(options))) return explanationOf(first)
      await facts.find(view.adverts(), constraints, options)
      return explanationOf(plan(init))
    },
    async open({ maxTokens, constraints: own, keep }, options = {}) {
      const constraints = mergeConstraints(defaults, own)
      checkConstraints(constraints)
      const session = createRouteSession(
        { maxTokens, constraints, ...(keep && { keep }) },
        {
          breaker,
          room,
          adverts: view.adverts,
          facts: planInit,
          find: (asked, call) => facts.find(view.adverts(), asked, call),
          look: view.look,
          record
        }
      )
      const plans = createPlans(session, options)
      let failure: unknown
      try {
        for (let attempt = 0; attempt < maxAttempts; attempt++) {
          const planning = await plans()
          if (planning.hops === undefined) {
            throw unavailable(planning.problem ?? 'nobody serves the model', planning, failure)
          }
          if (planning.relaxed.length > 0) {
            logger?.log('info', 'shard.route.relaxed', { relaxed: planning.relaxed })
          }
          try {
            const chain = await openChain(
              { modelHash, blockCount, hops: planning.hops },
              { ...components, planner: session.planner },
              { ...chainOptions, ...options, maxTokens, onFailure: session.blame }
            )
            return session.watch(chain, planning.relaxed)
          } catch (error) {
            options.signal?.throwIfAborted()
            if (!session.blame(error)) throw error
            session.release()
            failure = error
            logger?.log('info', 'shard.open.failed', { attempt, error: String(error) })
          }
        }
        const last = KwaaiError.is(failure) ? failure.message : String(failure)
        const planning = plan({ maxTokens, constraints })
        throw unavailable(`${maxAttempts} chains failed, the last one so: ${last}`, planning, failure)
      } catch (error) {
        session.release()
        throw error
      }
    }
  }
  return source
}

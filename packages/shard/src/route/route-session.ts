import {
  KwaaiError,
  type CallOptions,
  type Outcome,
  type RouteConstraintName,
  type RouteConstraints
} from '@kwaai/interface'
import type { ShardChain } from '../session/chain.ts'
import { retryAfterOf } from '../session/failure.ts'
import type { PlannedHop } from '../session/hop.ts'
import type { SpanPlanner } from '../session/replacement.ts'
import type { Advert } from './advert.ts'
import type { Breaker, Permit } from './breaker.ts'
import { planSpan, type PlanInit, type SpanInit, type SpanPlanning } from './plan.ts'
import type { RoomMemory } from './room.ts'

/** Codes of servers that are not what they announced. */
const broken: readonly string[] = [
  'ERR_SHARD_MODEL_MISMATCH',
  'ERR_SHARD_RANGE_MISMATCH',
  'ERR_SHARD_NUMERICS_MISMATCH',
  'ERR_SHARD_INVALID_RESULT'
]
/** Codes of servers that did nothing wrong. */
const honest: readonly string[] = ['ERR_SHARD_DRAINING', 'ERR_SHARD_SESSION_EXPIRED']

/** What a session asks for. */
export interface RouteSessionInit {
  /** Rows it will hold at most. */
  maxTokens: number
  constraints: RouteConstraints
  /** Hops that are preferred. */
  keep?: readonly PlannedHop[]
}

/** What the source of a session does for it. */
export interface RouteSessionComponents {
  breaker: Breaker
  room: RoomMemory
  /** The servers known now. */
  adverts: () => readonly Advert[]
  /** What the source plans with, constraints and exclusions apart. */
  facts: () => PlanInit
  /** Finds out what constraints ask of peers. */
  find: (constraints: RouteConstraints, options: CallOptions) => Promise<void>
  /** One fresh look for adverts; false when there was none. */
  look: (options: CallOptions) => Promise<boolean>
  /** Told how servers did. */
  record: (peer: string, outcome: Omit<Outcome, 'subject' | 'context'>) => void
}

/** A chain, and what was given up to have it. */
export interface RoutedChain extends ShardChain {
  readonly relaxed: readonly RouteConstraintName[]
}

/** Who serves one session, from its opening to its end. */
export interface RouteSession {
  /**
   * Servers for all blocks, taken for this session; where there are none, after one fresh look for adverts.
   */
  plan(options: CallOptions): Promise<SpanPlanning>
  /** Whether there would be servers if those left out, for so many milliseconds at most, and those tried now worked. */
  hopeful(withinMs: number): boolean
  /** Finds servers while the session runs. */
  readonly planner: SpanPlanner
  /** Leaves the peer out that an error names. @returns false for an error that names none of this session. */
  blame(error: unknown): boolean
  /** Gives back what was taken and not tried. */
  release(): void
  /** The same chain, with an eye on who does well. */
  watch(chain: ShardChain, relaxed: readonly RouteConstraintName[]): RoutedChain
}

/** Begins a session that has no servers yet. */
export function createRouteSession(init: RouteSessionInit, components: RouteSessionComponents): RouteSession {
  const { breaker, room } = components
  const { maxTokens, constraints } = init
  const permits = new Map<string, Permit>()
  const failed = new Set<string>()
  let serving: readonly Advert[] = []

  const excluded = (peer: string): string | undefined =>
    (permits.get(peer)?.probing() === true ? undefined : breaker.reason(peer)) ?? room.reason(peer, maxTokens)

  const spanOf = (wanted: Partial<SpanInit>): SpanInit => {
    const facts = components.facts()
    return { from: 0, to: facts.blockCount, ...facts, maxTokens, constraints, excluded, ...wanted }
  }

  /** Plans and takes the servers in one turn, so that nobody else takes the same probe in between. */
  const reserve = (wanted: Partial<SpanInit>): SpanPlanning => {
    const span = spanOf(wanted)
    const planning = planSpan(components.adverts(), span)
    const chosen = planning.explain.filter((verdict) => verdict.chosen).map(({ advert }) => advert)
    if (planning.hops === undefined) return planning
    for (const { peer } of chosen) {
      if (permits.get(peer)?.probing() === true) continue
      const permit = breaker.take(peer)
      if (permit === undefined) continue
      permits.set(peer, permit)
      failed.delete(peer)
    }
    serving = [...outside(serving, span), ...chosen].toSorted((a, b) => a.from - b.from)
    return planning
  }

  const planned = async (wanted: () => Partial<SpanInit>, options: CallOptions): Promise<SpanPlanning> => {
    await components.find(constraints, options)
    const first = reserve(wanted())
    if (first.hops !== undefined || !(await components.look(options))) return first
    await components.find(constraints, options)
    return reserve(wanted())
  }

  const fault = (peer: string, error: unknown): void => {
    const code = KwaaiError.is(error) ? error.code : 'ERR_SHARD_HOP_FAILED'
    if (failed.has(peer) || code === 'ERR_SHARD_SESSION_EXPIRED') return
    failed.add(peer)
    const waitMs = retryAfterOf(error)
    const why = `${code} ${error instanceof Error ? error.message : String(error)}`
    const permit = permits.get(peer)
    if (permit !== undefined && code === 'ERR_SHARD_SERVER_FULL' && waitMs !== undefined) {
      room.full(peer, maxTokens, why, waitMs)
      permit.release()
    } else permit?.failed(why, waitMs)
    // A server that says when it has room again did nothing wrong.
    if (waitMs !== undefined || honest.includes(code)) return
    components.record(peer, { kind: broken.includes(code) ? 'violation' : 'failure' })
  }

  /** The probes among the servers of a chain that gave results have done their work. */
  const worked = (hops: readonly PlannedHop[]): void => {
    for (const { peer } of hops) if (!failed.has(peer)) permits.get(peer)?.succeeded()
  }

  const session: RouteSession = {
    plan: (options) => planned(() => (init.keep === undefined ? {} : { keep: init.keep }), options),
    hopeful(withinMs) {
      const lost = (peer: string): string | undefined =>
        (breaker.nextMs(peer) ?? 0) > withinMs ? breaker.reason(peer) : room.reason(peer, maxTokens)
      return planSpan(components.adverts(), spanOf({ excluded: lost })).hops !== undefined
    },
    planner: {
      failed: (hop, error) => fault(hop.peer, error),
      async replace({ from, to, numericsClass, excluded: others, approximate, maxTokens }, options = {}) {
        const { relax, ...hard } = constraints
        const exact = {
          ...hard,
          numericsClass,
          ...(relax === undefined ? {} : { relax: relax.filter((name) => name !== 'numericsClass') })
        }
        const wanted = (): Partial<SpanInit> => ({
          from,
          to,
          maxTokens,
          numericsClass,
          constraints: approximate ? constraints : exact,
          excluded: (peer) => (others.has(peer) ? 'It failed in this session' : excluded(peer)),
          around: aroundOf(serving, { from, to }, components.facts().blockCount),
          keep: serving
        })
        try {
          const { hops, problem } = await planned(wanted, options)
          return hops === undefined ? { problem: problem ?? 'nobody serves the blocks' } : { hops }
        } catch (error) {
          options.signal?.throwIfAborted()
          return { problem: error instanceof Error ? error.message : String(error) }
        }
      }
    },
    blame(error) {
      const peer = KwaaiError.is(error) ? error.details['peer'] : undefined
      if (typeof peer !== 'string' || !permits.has(peer)) return false
      fault(peer, error)
      return true
    },
    release() {
      for (const permit of permits.values()) permit.release()
    },
    watch: (chain, relaxed) => {
      chain.ended?.addEventListener('abort', session.release, { once: true })
      return watched(chain, relaxed)
    }
  }
  return session

  function watched(chain: ShardChain, relaxed: readonly RouteConstraintName[]): RoutedChain {
    return {
      ...(chain.ended === undefined ? {} : { ended: chain.ended }),
      get chain() {
        return chain.chain
      },
      get mixed() {
        return chain.mixed
      },
      relaxed,
      stats: () => chain.stats(),
      account: () =>
        chain.stats().map((hop) => {
          const { peer, from, to, numericsClass = '', computeMs, queueMs, steps } = hop
          const rttMs = components.facts().rttMs?.(peer)
          const figures = { computeMs, queueMs, steps, ...(rttMs === undefined ? {} : { rttMs }) }
          return { peer, from, to, numericsClass, ...figures }
        }),
      forward(step, options) {
        const done = chain.forward(step, options)
        if ([...permits.values()].some((permit) => permit.probing())) {
          done.then(
            () => worked(chain.chain),
            () => undefined
          )
        }
        return done
      },
      async [Symbol.asyncDispose]() {
        await chain[Symbol.asyncDispose]()
        for (const { peer, steps, rows, computeMs, queueMs, roundTripMs } of chain.stats()) {
          if (steps === 0 || failed.has(peer)) continue
          components.record(peer, {
            kind: 'success',
            measures: { steps, rows, computeMs, queueMs, roundTripMs }
          })
        }
        session.release()
      }
    }
  }
}

function outside(adverts: readonly Advert[], span: { from: number; to: number }): Advert[] {
  return adverts.filter(({ from, to }) => to <= span.from || from >= span.to)
}

/** The servers of all blocks outside a span; none unless they cover all of them. */
function aroundOf(
  serving: readonly Advert[],
  span: { from: number; to: number },
  blockCount: number
): readonly Advert[] {
  const around = outside(serving, span)
  const blocks = around.reduce((sum, { from, to }) => sum + to - from, span.to - span.from)
  return blocks === blockCount ? around : []
}

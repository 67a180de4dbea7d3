import type { RouteConstraintName, RouteConstraints } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { ChainPlan } from '../session/chain-options.ts'
import type { PlannedHop } from '../session/hop.ts'
import type { Advert } from './advert.ts'
import {
  checkConstraints,
  constraintsSet,
  withoutConstraints,
  type ConstraintFailure,
  type TrustFact
} from './constraints.ts'
import type { Candidate } from './cost.ts'
import { compare, entriesOf, whyOut, wholeOf } from './entries.ts'
import { failing, notChosen } from './explain.ts'
import type { Path, PathLimits } from './search.ts'
import { limitsOf, spanPath } from './span-path.ts'

/** What a chain has to be. */
export interface PlanInit {
  /** SHA-256 of the model file, hex. */
  modelHash: string
  /** Blocks of the whole model. */
  blockCount: number
  /** Rows the session will hold at most. Default 1. */
  maxTokens?: number
  /** What every server has to meet, and what may be given up. Default: nothing. */
  constraints?: RouteConstraints
  /** The measured round trip to a peer in milliseconds, where there is one. */
  rttMs?: (peer: string) => number | undefined
  /** Whether servers hand rows to each other, or the client carries all. Default `push`. */
  topology?: 'push' | 'star'
  /** How far a peer is trusted, or why nobody can say. */
  trust?: (peer: string) => TrustFact | undefined
  /** Why a peer is left out now, where it is. */
  excluded?: (peer: string) => string | undefined
  /** The class preferred before all others, such as that of the own machine. */
  numericsClass?: string
  /** Take the cheapest chain even where one server holds the whole model. Default false. */
  split?: boolean
  /**
   * Milliseconds of a round trip above which a server gets no part of a model, only a whole one. Default 150.
   */
  maxSplitRttMs?: number
  /** Hops that are open already: they cost no opening and need no further room. */
  keep?: readonly PlannedHop[]
}

/** Blocks to find servers for. */
export interface SpanInit extends PlanInit {
  /** First block. */
  from: number
  /** One past the last block. */
  to: number
  /** The servers of all other blocks, where there is a chain around; its limits count them too. */
  around?: readonly Advert[]
}

/** What became of one advert. */
export interface PlanVerdict {
  advert: Advert
  chosen: boolean
  /** Why, in plain sentences. */
  reason: string
  /** Every constraint of the request it fails, one given up too. */
  failed: readonly ConstraintFailure[]
}

/** Servers for blocks, or why there are none; and what became of every advert. */
export interface SpanPlanning {
  /** The servers, in the order of their blocks. */
  hops?: readonly PlannedHop[]
  /** Milliseconds a token is expected to take through the whole chain, where there is one. */
  latencyMs?: number
  /** The same with what a token bears of the openings: what was least. */
  costMs?: number
  /** Constraints that were given up, as their order allows. */
  relaxed: readonly RouteConstraintName[]
  /** The constraints that leave no servers where there are some without them: to wait does not help. */
  unmet: readonly RouteConstraintName[]
  /** Why there are none: "the chain has no server for blocks 12 to 17". */
  problem?: string
  explain: readonly PlanVerdict[]
}

/** A chain, or why there is none; and what became of every advert. */
export interface Planning extends SpanPlanning {
  plan?: ChainPlan
}

/**
 * Finds the servers that run every block once: the cheapest path over their exact spans among those that meet
 * the constraints. One server that holds the whole model goes before any chain, a chain of one numerics class
 * before a mixed one. Pure, and the same for the same adverts in whatever order.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` when a constraint makes no sense.
 */
export function planChain(adverts: readonly Advert[], init: PlanInit): Planning {
  const { modelHash, blockCount } = init
  const planning = planSpan(adverts, { ...init, from: 0, to: blockCount })
  const { hops } = planning
  return hops === undefined ? planning : { ...planning, plan: { modelHash, blockCount, hops } }
}

/**
 * Finds servers for a range of blocks, as {@link planChain} does for all: one or several that cover exactly
 * these.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` when the model has no such blocks or a constraint makes no
 * sense.
 */
export function planSpan(adverts: readonly Advert[], init: SpanInit): SpanPlanning {
  const { from, to, blockCount, constraints = {} } = init
  if (!Number.isInteger(from) || !Number.isInteger(to) || !(from >= 0 && from < to && to <= blockCount)) {
    throw shardError(
      'ERR_SHARD_INVALID_INIT',
      `Cannot plan the chain: ${from} to ${to} are no blocks of the model`
    )
  }
  checkConstraints(constraints)
  const entries = entriesOf(adverts, init)
  const fit = (active: RouteConstraints, whenever = false): Candidate[] =>
    entries
      .filter(
        ({ unfit, busy, failed }) =>
          unfit === undefined &&
          (whenever || busy === undefined) &&
          !failed.some(({ constraint }) => active[constraint] !== undefined)
      )
      .map(({ candidate }) => candidate)
  const find = (active: RouteConstraints, whenever = false): Path | undefined =>
    choose(fit(active, whenever), limitsOf(active), init)

  let active = withoutConstraints(constraints, [])
  let path = find(active)
  const relaxed: RouteConstraintName[] = []
  for (const name of constraints.relax ?? []) {
    if (path !== undefined) break
    if (active[name] === undefined) continue
    active = withoutConstraints(active, [name])
    relaxed.push(name)
    path = find(active)
  }
  if (path === undefined) {
    const set = constraintsSet(active)
    const hopeless = set.length > 0 && find(active, true) === undefined && find({}, true) !== undefined
    return failing(entries, fit(active), active, { ...init, hopeless })
  }

  const within = path.hops
    .map(({ advert }) => advert)
    .filter((advert) => advert.from >= from && advert.to <= to)
  const chosen = new Set(within)
  const reasonOf = notChosen(fit(active), within, init)
  const explain = entries.map((entry): PlanVerdict => ({
    advert: entry.advert,
    chosen: chosen.has(entry.advert),
    reason: chosen.has(entry.advert)
      ? 'It is part of the cheapest chain'
      : (whyOut(entry, active) ?? reasonOf(entry.advert)),
    failed: entry.failed
  }))
  const hops = within.map(({ peer, from, to, numericsClass }) => ({ peer, from, to, numericsClass }))
  return { hops, latencyMs: path.latencyMs, costMs: path.costMs, relaxed, unmet: [], explain }
}

/**
 * A whole server before a chain; the preferred class, then the cheapest of one class, then whatever there is.
 */
function choose(candidates: readonly Candidate[], limits: PathLimits, init: SpanInit): Path | undefined {
  const whole = wholeOf(candidates, init)
  const able = init.split === true || whole.length === 0 ? candidates : whole
  const classes = new Map<string, Candidate[]>()
  for (const candidate of able) {
    const { numericsClass } = candidate.advert
    const same = classes.get(numericsClass)
    if (same === undefined) classes.set(numericsClass, [candidate])
    else same.push(candidate)
  }
  const preferred = classes.get(init.numericsClass ?? '')
  const path = preferred && spanPath(preferred, init, limits)
  if (path !== undefined) return path
  let best: Path | undefined
  for (const [, same] of [...classes].toSorted(([a], [b]) => compare(a, b))) {
    const path = spanPath(same, init, limits)
    if (path !== undefined && (best === undefined || path.costMs < best.costMs)) best = path
  }
  return best ?? spanPath(able, init, limits)
}

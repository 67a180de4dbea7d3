import type { RouteConstraints } from '@kwaai/interface'
import type { Advert } from './advert.ts'
import { constraintsSet, type ConstraintFailure } from './constraints.ts'
import type { Candidate } from './cost.ts'
import { whyOut, wholeOf, type Entry } from './entries.ts'
import type { PlanVerdict, SpanInit, SpanPlanning } from './plan.ts'
import { reachOf } from './reach.ts'
import { credits, limitsOf, milliseconds, spanPath } from './span-path.ts'
import { blocksOf, figure } from './words.ts'

/** Says of candidates why they are not among those chosen. */
export function notChosen(
  candidates: readonly Candidate[],
  chosen: readonly Advert[],
  init: SpanInit
): (advert: Advert) => string {
  const reach = reachOf(
    candidates.map(({ advert }) => advert),
    init
  )
  const whole = init.split !== true && wholeOf(candidates, init).length > 0
  const classes = new Set(chosen.map((hop) => hop.numericsClass))
  return (advert) => {
    if (whole && !(advert.from === 0 && advert.to === init.blockCount)) {
      return 'Another server holds the whole model'
    }
    const gap = reach.gapBeside(advert)
    if (gap !== undefined) return gap
    if (classes.size === 1 && !classes.has(advert.numericsClass)) {
      return 'The chain is of another numerics class, all through'
    }
    return 'Another chain is cheaper'
  }
}

/** What is said where there is no path: of the whole, and of every advert. */
export function failing(
  entries: readonly Entry[],
  candidates: readonly Candidate[],
  active: RouteConstraints,
  init: SpanInit & { hopeless: boolean }
): SpanPlanning {
  const reach = reachOf(
    candidates.map(({ advert }) => advert),
    init
  )
  const beyond = beyondLimits(candidates, active, init)
  const explain = entries.map((entry): PlanVerdict => {
    const { advert, failed } = entry
    const out = whyOut(entry, active) ?? reach.gapBeside(advert)
    if (out !== undefined || beyond === undefined) return { advert, chosen: false, reason: out ?? '', failed }
    return { advert, chosen: false, reason: beyond.reason, failed: [...failed, beyond] }
  })
  const unmet = init.hopeless
    ? constraintsSet(active).filter((name) =>
        explain.some(({ failed }) => failed.some(({ constraint }) => constraint === name))
      )
    : []
  const what = init.hopeless ? 'no chain meets the constraints: ' : ''
  if (beyond !== undefined) {
    const said = beyond.reason.charAt(0).toLowerCase() + beyond.reason.slice(1)
    return { relaxed: [], unmet, problem: what + said, explain }
  }
  // Who only asks for too much, or comes a moment too early, should learn that servers exist.
  const left = entries.find(
    (entry) =>
      whyOut(entry, active) !== undefined &&
      !candidates.some(({ advert }) => advert.from <= entry.advert.from && entry.advert.from < advert.to)
  )
  const hint =
    left === undefined
      ? ''
      : `; one of ${blocksOf(left.advert.from, left.advert.to)} is left out: ${whyOut(left, active)}`
  return { relaxed: [], unmet, problem: what + reach.problem() + hint, explain }
}

/**
 * The limit that no chain of these candidates keeps, though each alone does; undefined where there is no
 * chain at all.
 */
function beyondLimits(
  candidates: readonly Candidate[],
  active: RouteConstraints,
  init: SpanInit
): ConstraintFailure | undefined {
  const { latencyMs, price } = limitsOf(active)
  const quickest = spanPath(candidates, init, limitsOf({}), milliseconds)
  const least = spanPath(candidates, init, limitsOf({}), credits)
  if (quickest === undefined || least === undefined) return undefined
  if (quickest.latencyMs > latencyMs) {
    return {
      constraint: 'maxLatencyMs',
      reason: `The quickest chain takes ${figure(quickest.latencyMs)} ms a token, and at most ${figure(latencyMs)} are allowed`
    }
  }
  if (least.price > price) {
    return {
      constraint: 'maxPrice',
      reason: `The cheapest chain costs ${figure(least.price)} credits a token, and at most ${figure(price)} are allowed`
    }
  }
  return {
    constraint: 'maxLatencyMs',
    reason: `No chain takes at most ${figure(latencyMs)} ms a token and costs at most ${figure(price)} credits`
  }
}

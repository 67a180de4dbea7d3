import type { Candidate } from './cost.ts'

/** Partial paths to one server that are kept where limits make more than the cheapest one worth keeping. */
const maxLabels = 32

/** What a path may take in all; `Infinity` where there is no limit. */
export interface PathLimits {
  latencyMs: number
  price: number
}

/** How a path is found. */
export interface SearchInit {
  /** First block. */
  from: number
  /** One past the last block. */
  to: number
  /** Milliseconds from one place to the next; `undefined` is the client. */
  legMs: (from: Candidate | undefined, to: Candidate | undefined) => number
  /**
   * What a leg and the server at its end (none at the client's) add to what has to be least; never negative.
   */
  weight: (legMs: number, candidate: Candidate | undefined) => number
  limits: PathLimits
}

/** Servers in the order of their blocks, and what a token takes through them. */
export interface Path {
  hops: readonly Candidate[]
  costMs: number
  latencyMs: number
  price: number
}

interface Label {
  candidate: Candidate | undefined
  before: Label | undefined
  hops: number
  costMs: number
  latencyMs: number
  price: number
}

/**
 * The exact cover of a range of blocks whose weight is least among those within the limits: the labelling
 * algorithm for shortest paths with resource constraints (Desrochers and Soumis, 1988). Spans only lead
 * forward, so one pass in the order of their first block sees every path to a block before it is left. With
 * at most one limit the answer is exact; with both it is as long as no server is reached by more than 32
 * paths that are each best in something.
 *
 * @param candidates - ordered by their first block; of equal paths the one that comes first is taken.
 */
export function cheapestPath(candidates: readonly Candidate[], init: SearchInit): Path | undefined {
  const { from, to, limits } = init
  const extend = (before: Label, candidate: Candidate | undefined): Label => {
    const leg = init.legMs(before.candidate, candidate)
    return {
      candidate,
      before,
      hops: before.hops + 1,
      costMs: before.costMs + init.weight(leg, candidate),
      latencyMs: before.latencyMs + leg + (candidate?.computeMs ?? 0),
      price: before.price + (candidate?.advert.price ?? 0)
    }
  }
  const start: Label = {
    candidate: undefined,
    before: undefined,
    hops: 0,
    costMs: 0,
    latencyMs: 0,
    price: 0
  }
  const ending = new Map<number, Label[]>([[from, [start]]])
  for (const candidate of candidates) {
    if (candidate.advert.to > to) continue
    const kept: Label[] = []
    for (const before of ending.get(candidate.advert.from) ?? []) {
      insert(kept, extend(before, candidate), limits)
    }
    if (kept.length === 0) continue
    const there = ending.get(candidate.advert.to)
    if (there === undefined) ending.set(candidate.advert.to, kept)
    else there.push(...kept)
  }
  let best: Label | undefined
  for (const label of ending.get(to) ?? []) {
    const whole = extend(label, undefined)
    if (!within(whole, limits) || (best !== undefined && !cheaper(whole, best))) continue
    best = whole
  }
  return best === undefined ? undefined : pathOf(best)
}

function pathOf({ costMs, latencyMs, price, before }: Label): Path {
  const hops: Candidate[] = []
  for (let label = before; label?.candidate !== undefined; label = label.before) hops.push(label.candidate)
  return { hops: hops.toReversed(), costMs, latencyMs, price }
}

function within(label: Label, limits: PathLimits): boolean {
  return label.latencyMs <= limits.latencyMs && label.price <= limits.price
}

function cheaper(a: Label, b: Label): boolean {
  return a.costMs < b.costMs || (a.costMs === b.costMs && a.hops < b.hops)
}

/** Whether a partial path is as good as another one that ends at the same server, in everything that counts. */
function asGood(a: Label, b: Label, limits: PathLimits): boolean {
  return (
    !cheaper(b, a) &&
    (limits.latencyMs === Infinity || a.latencyMs <= b.latencyMs) &&
    (limits.price === Infinity || a.price <= b.price)
  )
}

/** Keeps a partial path unless one that is kept is as good. */
function insert(kept: Label[], label: Label, limits: PathLimits): void {
  if (!within(label, limits)) return
  for (const other of kept) if (asGood(other, label, limits)) return
  let stay = 0
  for (const other of kept) {
    if (!asGood(label, other, limits)) kept[stay++] = other
  }
  kept.length = stay
  kept.push(label)
  if (stay >= maxLabels) dropWorst(kept)
}

/** Whatever falls, the best in each stays: so one limit alone never hides a path. */
function dropWorst(kept: Label[]): void {
  const least = (by: (one: Label) => number): Label => kept.reduce((a, b) => (by(b) < by(a) ? b : a))
  const stay = new Set([least((one) => one.latencyMs), least((one) => one.price)])
  const [worst] = kept.filter((one) => !stay.has(one)).toSorted((a, b) => b.costMs - a.costMs)
  if (worst !== undefined) kept.splice(kept.indexOf(worst), 1)
}

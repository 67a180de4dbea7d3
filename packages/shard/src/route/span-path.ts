import type { RouteConstraints } from '@kwaai/interface'
import { candidateOf, legMs, type Candidate } from './cost.ts'
import type { SpanInit } from './plan.ts'
import { cheapestPath, type Path, type PathLimits, type SearchInit } from './search.ts'

type Weight = SearchInit['weight']

/** What constraints allow a whole chain to take. */
export function limitsOf({ maxLatencyMs, maxPrice }: RouteConstraints): PathLimits {
  return { latencyMs: maxLatencyMs ?? Infinity, price: maxPrice ?? Infinity }
}

/** The time of a token. */
export const milliseconds: Weight = (leg, candidate) => leg + (candidate?.computeMs ?? 0)
/** The price of a token. */
export const credits: Weight = (_, candidate) => candidate?.advert.price ?? 0
const everything: Weight = (leg, candidate) => milliseconds(leg, candidate) + (candidate?.openMs ?? 0)

/** The cheapest path through the span, and through the chain around it where there is one. */
export function spanPath(
  candidates: readonly Candidate[],
  init: SpanInit,
  limits: PathLimits = limitsOf({}),
  weight: Weight = everything
): Path | undefined {
  const around = (init.around ?? []).map((advert) => candidateOf(advert, init.rttMs?.(advert.peer), true))
  const push = init.topology !== 'star'
  const range = around.length === 0 ? init : { from: 0, to: init.blockCount }
  return cheapestPath(
    withoutWorse([...around, ...candidates], push).toSorted((a, b) => a.advert.from - b.advert.from),
    { from: range.from, to: range.to, legMs: (a, b) => legMs(a, b, push), weight, limits }
  )
}

/**
 * The candidates without those that are in nothing better than another one of the same blocks: no
 * path is lost, and few are left of many. Those that tell a way to others, or to which others tell one, stay.
 */
function withoutWorse(candidates: readonly Candidate[], push: boolean): Candidate[] {
  const told = new Set(push ? candidates.flatMap(({ advert }) => Object.keys(advert.nextMs ?? {})) : [])
  const fronts = new Map<string, Candidate[]>()
  const stay: Candidate[] = []
  for (const candidate of candidates) {
    const { peer, from, to, nextMs } = candidate.advert
    if (push && (nextMs !== undefined || told.has(peer))) {
      stay.push(candidate)
      continue
    }
    const place = `${from} ${to}`
    const front = fronts.get(place)
    if (front === undefined) fronts.set(place, [candidate])
    else if (!front.some((other) => noWorse(other, candidate))) {
      fronts.set(place, [...front.filter((other) => !noWorse(candidate, other)), candidate])
    }
  }
  return [...stay, ...[...fronts.values()].flat()]
}

function noWorse(a: Candidate, b: Candidate): boolean {
  return (
    a.rttMs <= b.rttMs &&
    a.computeMs <= b.computeMs &&
    a.openMs <= b.openMs &&
    a.advert.price <= b.advert.price
  )
}

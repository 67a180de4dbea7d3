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
  const range = around.length === 0 ? init : { from: 0, to: init.blockCount }
  return cheapestPath(
    [...around, ...candidates].toSorted((a, b) => a.advert.from - b.advert.from),
    { from: range.from, to: range.to, legMs: (a, b) => legMs(a, b, init.linkMs), weight, limits }
  )
}

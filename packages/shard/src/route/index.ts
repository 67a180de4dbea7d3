/**
 * Finding the servers of a model: what a block server announces, how a chain is chosen from such adverts, and
 * a source of chains that follows them.
 *
 * @packageDocumentation
 */
export { advertKey, advertSubkey, decodeAdvert, encodeAdvert, type Advert } from './advert.ts'
export { createAdvertiser, type AdvertiserComponents, type AdvertiserInit } from './advertiser.ts'
export type { ConstraintFailure, TrustFact } from './constraints.ts'
export { hopCostMs } from './cost.ts'
export {
  planChain,
  planSpan,
  type PlanInit,
  type Planning,
  type PlanVerdict,
  type SpanInit,
  type SpanPlanning
} from './plan.ts'
export { createBreaker, type Breaker, type Permit } from './breaker.ts'
export type { RoutedChain } from './route-session.ts'
export {
  createChainSource,
  type ChainRequest,
  type ChainSource,
  type ChainSourceComponents,
  type ChainSourceInit
} from './source.ts'

/**
 * Finding the servers of a model: what a block server announces, how a chain is chosen from such adverts, and
 * a source of chains that follows them.
 *
 * @packageDocumentation
 */
export { advertKey, advertSubkey, decodeAdvert, encodeAdvert, type Advert } from './advert.ts'
export { createAdvertiser, type AdvertiserComponents, type AdvertiserInit } from './advertiser.ts'
export { hopCostMs, planChain, type PlanInit, type Planning, type PlanVerdict } from './plan.ts'
export {
  createChainSource,
  type ChainSource,
  type ChainSourceComponents,
  type ChainSourceInit
} from './source.ts'

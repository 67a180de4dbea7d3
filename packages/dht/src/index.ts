/**
 * A Kademlia DHT over any `Network`, for one purpose: signed records that expire. A node puts an advert under a key,
 * others find it, and when the node dies the advert goes with it.
 *
 * @packageDocumentation
 */
export { createDht, type Dht, type DhtComponents, type DhtStats } from './dht.ts'
export type { DhtInit } from './options.ts'
export {
  ERR_DHT_INVALID_MESSAGE,
  ERR_DHT_INVALID_OPTION,
  ERR_DHT_INVALID_RECORD,
  ERR_DHT_NOT_RUNNING,
  ERR_DHT_STORE_FULL,
  ERR_DHT_TIMEOUT,
  type DhtErrorCode
} from './errors.ts'
export { DEFAULT_QUOTAS, DHT_PROTOCOL, RECORD_CONTEXT, type RecordQuotas } from './constants.ts'

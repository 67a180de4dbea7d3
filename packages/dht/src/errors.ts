import { KwaaiError } from '@kwaai/interface'

/** The DHT was called before it was started or after it was stopped. */
export const ERR_DHT_NOT_RUNNING = 'ERR_DHT_NOT_RUNNING'
/** An option is outside its range. */
export const ERR_DHT_INVALID_OPTION = 'ERR_DHT_INVALID_OPTION'
/** A record's key, subkey, value or life is outside the limits. */
export const ERR_DHT_INVALID_RECORD = 'ERR_DHT_INVALID_RECORD'
/** The own node has no room for its own record. */
export const ERR_DHT_STORE_FULL = 'ERR_DHT_STORE_FULL'
/** A peer's message is not one of the protocol, or is outside its limits. Handled inside, never thrown at callers. */
export const ERR_DHT_INVALID_MESSAGE = 'ERR_DHT_INVALID_MESSAGE'
/** A peer did not answer in time. Handled inside, never thrown at callers. */
export const ERR_DHT_TIMEOUT = 'ERR_DHT_TIMEOUT'

/** Every code this package makes. */
export type DhtErrorCode =
  | typeof ERR_DHT_NOT_RUNNING
  | typeof ERR_DHT_INVALID_OPTION
  | typeof ERR_DHT_INVALID_RECORD
  | typeof ERR_DHT_STORE_FULL
  | typeof ERR_DHT_INVALID_MESSAGE
  | typeof ERR_DHT_TIMEOUT

/** An error of this package. */
export function dhtError(code: DhtErrorCode, message: string, cause?: unknown): KwaaiError<DhtErrorCode> {
  return new KwaaiError(code, message, { cause })
}

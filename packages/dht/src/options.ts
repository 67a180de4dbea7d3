import {
  DEFAULT_ALPHA,
  DEFAULT_JOIN_INTERVAL_MS,
  DEFAULT_K,
  DEFAULT_QUOTAS,
  DEFAULT_REFRESH_INTERVAL_MS,
  DEFAULT_REQUEST_TIMEOUT_MS,
  DEFAULT_SWEEP_INTERVAL_MS,
  MAX_PEERS_PER_MESSAGE,
  type RecordQuotas
} from './constants.ts'
import { ERR_DHT_INVALID_OPTION, dhtError } from './errors.ts'

/** How a DHT node behaves. */
export interface DhtInit {
  /** Addresses or peer ids through which the node joins; those connected already count too. Default none. */
  bootstrap?: readonly string[]
  /** Peers in a bucket and holders of a record, 1 to 64. Default 20. */
  k?: number
  /** Requests of one lookup in flight, 1 to 64. Default 3. */
  alpha?: number
  /** How long a peer may take to answer. Default 5,000. */
  requestTimeoutMs?: number
  /** Between two walks through the buckets. Default 300,000. */
  refreshIntervalMs?: number
  /** Between two tries to find anybody while no peer is known. Default 10,000. */
  joinIntervalMs?: number
  /** Between two sweeps of expired records. Default 30,000. */
  sweepIntervalMs?: number
  /** How much to hold for others. */
  quotas?: Partial<RecordQuotas>
}

/** {@link DhtInit} with its defaults. */
export type DhtSettings = Required<Omit<DhtInit, 'quotas'>> & { quotas: RecordQuotas }

/**
 * Fills in the defaults.
 *
 * @throws A KwaaiError `ERR_DHT_INVALID_OPTION` when an option is outside its range.
 */
export function settingsOf(init: DhtInit): DhtSettings {
  const settings = {
    bootstrap: init.bootstrap ?? [],
    k: init.k ?? DEFAULT_K,
    alpha: init.alpha ?? DEFAULT_ALPHA,
    requestTimeoutMs: init.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    refreshIntervalMs: init.refreshIntervalMs ?? DEFAULT_REFRESH_INTERVAL_MS,
    joinIntervalMs: init.joinIntervalMs ?? DEFAULT_JOIN_INTERVAL_MS,
    sweepIntervalMs: init.sweepIntervalMs ?? DEFAULT_SWEEP_INTERVAL_MS,
    quotas: { ...DEFAULT_QUOTAS, ...init.quotas }
  }
  const { bootstrap: _, k, alpha, quotas, ...intervals } = settings
  const wrong = (name: string, value: number, range: string): Error =>
    dhtError(ERR_DHT_INVALID_OPTION, `Cannot make the DHT: "${name}" is ${value}, it has to be ${range}`)
  for (const [name, value] of Object.entries({ k, alpha })) {
    if (!Number.isInteger(value) || value < 1 || value > MAX_PEERS_PER_MESSAGE) {
      throw wrong(name, value, `1 to ${MAX_PEERS_PER_MESSAGE}`)
    }
  }
  for (const [name, value] of Object.entries({ ...intervals, ...quotas })) {
    if (!(Number.isFinite(value) && value > 0)) throw wrong(name, value, 'above 0')
  }
  return settings
}

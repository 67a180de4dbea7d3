import {
  deadlineSignal,
  type CallOptions,
  type Clock,
  type Did,
  type Logger,
  type RecordStore,
  type StoredRecord
} from '@kwaai/interface'
import { peerIdFromDid } from '@kwaai/identity'
import { shardError } from '../errors.ts'
import { advertKey, decodeAdvert, type Advert } from './advert.ts'

/** Adverts looked at. */
const maxAdverts = 1_024
/** Milliseconds between two looks of one's own into the record store. */
const lookMs = 1_000
/** Milliseconds a look may take. */
const lookTimeoutMs = 5_000

/** The adverts of one model, as they come and go. */
export interface AdvertView {
  adverts(): readonly Advert[]
  /** Who signed the adverts of a peer. */
  signer(peer: string): Did | undefined
  /** Follows the record store until the signal aborts. */
  follow(signal: AbortSignal): Promise<void>
  /**
   * Looks into the record store, unless somebody did within the last second; callers at the same time share
   * one look.
   *
   * @returns false when nothing was read. Rejects for the signal alone.
   */
  look(options?: CallOptions): Promise<boolean>
}

/** Makes a view; `onChange` is called whenever adverts were read. */
export function createAdvertView(
  init: { modelHash: string; onChange?: () => void },
  components: { records: RecordStore; clock: Clock; logger?: Logger }
): AdvertView {
  const { records, clock, logger } = components
  const key = advertKey(init.modelHash)
  let adverts: readonly Advert[] = []
  let signers: ReadonlyMap<string, Did> = new Map()
  let lookedAt = -Infinity
  let looking: Promise<boolean> | undefined

  const take = (found: readonly StoredRecord[]): void => {
    const next: Advert[] = []
    const names = new Map<string, Did>()
    for (const record of found.slice(0, maxAdverts)) {
      try {
        const advert = decodeAdvert(record.value)
        // Only a server itself may say what it serves.
        if (peerIdFromDid(record.signer) !== advert.peer) throw new Error('it speaks for another peer')
        next.push(advert)
        names.set(advert.peer, record.signer)
      } catch (error) {
        logger?.log('debug', 'shard.advert.refused', { signer: record.signer, error: String(error) })
      }
    }
    adverts = next
    signers = names
    init.onChange?.()
  }
  const failed = (error: unknown): void =>
    logger?.log('warn', 'shard.adverts.failed', { error: String(error) })

  const read = async (): Promise<boolean> => {
    const timer = deadlineSignal(clock, lookTimeoutMs, () =>
      shardError('ERR_MODEL_UNAVAILABLE', `Cannot read the adverts: no answer within ${lookTimeoutMs} ms`)
    )
    try {
      take(await until(records.get(key, { signal: timer.signal }), timer.signal))
      return true
    } catch (error) {
      failed(error)
      return false
    } finally {
      timer.clear()
      looking = undefined
    }
  }

  return {
    adverts: () => adverts,
    signer: (peer) => signers.get(peer),
    async follow(signal) {
      for (let failures = 0; !signal.aborted; failures++) {
        try {
          for await (const found of records.watch(key, { signal })) {
            failures = 0
            take(found)
          }
        } catch (error) {
          if (!signal.aborted) failed(error)
        }
        await clock.sleep(Math.min(30_000, 1000 * 2 ** failures), { signal }).catch(() => undefined)
      }
    },
    async look({ signal } = {}) {
      if (looking === undefined) {
        if (clock.monotonic() - lookedAt < lookMs) return false
        lookedAt = clock.monotonic()
        looking = read()
      }
      return until(looking, signal)
    }
  }
}

/** The same promise, for as long as the signal lets it. */
export async function until<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let abort = (): void => undefined
  const ended = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, ended])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

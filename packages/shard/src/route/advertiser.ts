import type { Announcement, CallOptions, Clock, Logger, RecordStore, Startable } from '@kwaai/interface'
import { equalBytes } from '../session/rows.ts'
import type { BlockServer } from '../session/server.ts'
import { advertKey, advertSubkey, encodeAdvert } from './advert.ts'

/** How a block server is made known. */
export interface AdvertiserInit {
  region?: string
  /** Milliseconds between two looks at the server's state; a change is announced at once. Default 30,000. */
  refreshMs?: number
}

/** What an advertiser needs. */
export interface AdvertiserComponents {
  records: RecordStore
  server: BlockServer
  clock: Clock
  logger?: Logger
}

/** Numbers that differ by less than a tenth are the same news. */
function rounded(value: number): number {
  return value === 0 ? 0 : Number(value.toPrecision(2))
}

/**
 * Announces a block server while it runs, with what it measured and the room it has, and withdraws it at the
 * end. The record store announces again by itself; a change is announced when it is seen.
 */
export function createAdvertiser(init: AdvertiserInit, components: AdvertiserComponents): Startable {
  const { records, server, clock, logger } = components
  const refreshMs = init.refreshMs ?? 30_000
  let lifetime: AbortController | undefined
  let announcement: Announcement | undefined

  const advert = (): Uint8Array => {
    const stats = server.stats()
    return encodeAdvert({
      peer: server.peerId,
      from: stats.from,
      to: stats.to,
      blockCount: server.blockCount,
      numericsClass: server.numericsClass,
      maxTokens: stats.maxTokens,
      freeTokens: Math.floor(rounded(stats.freeTokens)),
      tokensPerSecond: rounded(stats.tokensPerSecond),
      queuedSteps: stats.queuedSteps,
      price: 0,
      ...(init.region === undefined ? {} : { region: init.region })
    })
  }

  const follow = async (told: Uint8Array, announced: Announcement, signal: AbortSignal): Promise<void> => {
    let last = told
    while (!signal.aborted) {
      await clock.sleep(refreshMs, { signal }).catch(() => undefined)
      if (signal.aborted) return
      const value = advert()
      if (equalBytes(value, last)) continue
      try {
        await announced.refresh(value, { signal })
        last = value
      } catch (error) {
        // Tried again at the next look; the record store keeps the old one alive meanwhile.
        if (!signal.aborted) logger?.log('warn', 'shard.advert.refresh-failed', { error: String(error) })
      }
    }
  }

  const advertiser: Startable = {
    async start(options: CallOptions = {}) {
      if (lifetime !== undefined) return
      lifetime = new AbortController()
      try {
        const value = advert()
        announcement = await records.announce(
          { key: advertKey(server.modelHash), subkey: advertSubkey(server.stats()), value },
          options
        )
        void follow(value, announcement, lifetime.signal)
      } catch (error) {
        lifetime = undefined
        throw error
      }
    },
    async stop(options: CallOptions = {}) {
      lifetime?.abort()
      lifetime = undefined
      const current = announcement
      announcement = undefined
      await current?.stop(options)
    },
    async [Symbol.asyncDispose]() {
      await advertiser.stop()
    }
  }
  return advertiser
}

import type {
  Announcement,
  CallOptions,
  Clock,
  Logger,
  Network,
  Random,
  RecordStore,
  Startable
} from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { equalBytes } from '../session/rows.ts'
import type { BlockServer, BlockServerStats } from '../session/server.ts'
import { advertKey, advertSubkey, encodeAdvert } from './advert.ts'
import { createNeighbours } from './neighbours.ts'

/** How a block server is made known. */
export interface AdvertiserInit {
  region?: string
  /** Milliseconds between two looks at all of the server's state. Default 30,000. */
  refreshMs?: number
}

/** What an advertiser needs. */
export interface AdvertiserComponents {
  records: RecordStore
  server: BlockServer
  clock: Clock
  /** With it the advert tells how far the servers are that come after this one. */
  network?: Network
  /** Chooses among many of them. Default: the system's. */
  random?: Random
  logger?: Logger
}

/** Milliseconds between two looks at the room alone, and so between two refreshes because of it. */
const roomLookMs = 2_000

/** Numbers that differ by less than a tenth are the same news. */
function rounded(value: number): number {
  return value === 0 ? 0 : Number(value.toPrecision(2))
}

/** How much room there is, as far as it changes who is sent here. */
type Room = 'none' | 'little' | 'enough'

/** Whether news of the room cannot wait: servers would be chosen in vain, or passed over. */
function urgent(told: Room, now: Room): boolean {
  return told === 'none' ? now !== 'none' : now === 'none' || (told === 'enough' && now === 'little')
}

/**
 * Announces a block server while it runs, with what it measured and the room it has, and withdraws it at the
 * end or when it begins to drain. The record store announces again by itself; that all room is taken, that
 * less than a quarter is left, or that there is room again is told within two seconds, other changes at the
 * next look.
 */
export function createAdvertiser(init: AdvertiserInit, components: AdvertiserComponents): Startable {
  const { records, server, clock, network, random = systemRandom, logger } = components
  const refreshMs = init.refreshMs ?? 30_000
  const neighbours = network === undefined ? undefined : createNeighbours({ ...components, network, random })
  let lifetime: AbortController | undefined
  let announcement: Announcement | undefined
  let mostTokens = 0

  const roomOf = ({ freeTokens }: BlockServerStats): Room => {
    mostTokens = Math.max(mostTokens, freeTokens)
    return freeTokens === 0 ? 'none' : freeTokens < mostTokens / 4 ? 'little' : 'enough'
  }
  const advert = (stats: BlockServerStats): Uint8Array => {
    const nextMs = neighbours?.nextMs()
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
      ...(init.region === undefined ? {} : { region: init.region }),
      ...(nextMs === undefined ? {} : { nextMs })
    })
  }
  const withdraw = async (options?: CallOptions): Promise<void> => {
    const current = announcement
    announcement = undefined
    await current?.stop(options)
  }

  const follow = async (
    told: { value: Uint8Array; room: Room },
    announced: Announcement,
    signal: AbortSignal
  ): Promise<void> => {
    let last = told
    let lookedAt = clock.monotonic()
    // The neighbours are not known yet, so the first look at all is at once.
    let all = neighbours !== undefined
    while (!signal.aborted) {
      const now: BlockServerStats & { draining?: boolean } = server.stats()
      if (now.draining === true) {
        await withdraw({ signal }).catch((error: unknown) => {
          if (!signal.aborted) logger?.log('warn', 'shard.advert.withdraw-failed', { error: String(error) })
        })
        return
      }
      const room = roomOf(now)
      if (all || urgent(last.room, room)) {
        if (all) await neighbours?.measure()
        if (all) lookedAt = clock.monotonic()
        const value = advert(server.stats())
        if (signal.aborted) return
        try {
          if (!equalBytes(value, last.value)) await announced.refresh(value, { signal })
          last = { value, room }
        } catch (error) {
          // Tried again at the next look; the record store keeps the old one alive meanwhile.
          if (!signal.aborted) logger?.log('warn', 'shard.advert.refresh-failed', { error: String(error) })
        }
      }
      await clock.sleep(Math.min(refreshMs, roomLookMs), { signal }).catch(() => undefined)
      all = clock.monotonic() - lookedAt >= refreshMs
    }
  }

  const advertiser: Startable = {
    async start(options: CallOptions = {}) {
      if (lifetime !== undefined) return
      lifetime = new AbortController()
      try {
        const stats = server.stats()
        const told = { value: advert(stats), room: roomOf(stats) }
        announcement = await records.announce(
          { key: advertKey(server.modelHash), subkey: advertSubkey(stats), value: told.value },
          options
        )
        void follow(told, announcement, lifetime.signal)
      } catch (error) {
        lifetime = undefined
        throw error
      }
    },
    async stop(options: CallOptions = {}) {
      lifetime?.abort()
      lifetime = undefined
      await withdraw(options)
    },
    async [Symbol.asyncDispose]() {
      await advertiser.stop()
    }
  }
  return advertiser
}

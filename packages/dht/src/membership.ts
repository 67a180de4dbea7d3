import type { Clock, Network, PeerId, Random } from '@kwaai/interface'
import type { Contacts } from './contacts.ts'
import { idOfPeer, randomIdWithPrefix, type DhtId } from './id.ts'
import type { DhtSettings } from './options.ts'
import type { RoutingTable } from './routing-table.ts'

/** Finds a node its place among the others and keeps it there. */
export interface Membership {
  /** Asks everybody who can be reached without a lookup, then the neighbourhood of the own point. */
  join(signal: AbortSignal): Promise<void>
  /** Keeps the table fresh until the signal aborts: often while it is empty, seldom when it is not. */
  run(signal: AbortSignal): Promise<never>
}

/** Makes the membership of a node. */
export function createMembership(components: {
  network: Network
  clock: Clock
  random: Random
  table: RoutingTable
  contacts: Contacts
  settings: DhtSettings
  findPeers: (target: DhtId, signal: AbortSignal) => Promise<PeerId[]>
}): Membership {
  const { network, clock, random, table, contacts, settings, findPeers } = components
  const own = idOfPeer(network.peerId)

  const knock = async (signal: AbortSignal): Promise<void> => {
    const dialled = await Promise.all(
      settings.bootstrap.map(async (address) => {
        try {
          return await network.connect(address, { signal })
        } catch {
          // Another one may be there, or this one later.
          return undefined
        }
      })
    )
    const near = new Set([...network.peers(), ...dialled.filter((peer) => peer !== undefined)])
    near.delete(network.peerId)
    await Promise.all(
      [...near]
        .filter((peer) => !table.has(peer))
        .slice(0, 2 * settings.k)
        // Who does not answer is not there.
        .map((peer) => contacts.ask(peer, { type: 'ping' }, signal).catch(() => undefined))
    )
  }

  // Kademlia, section 2.3: a node that joins looks itself up, then refreshes the buckets further away.
  const walk = async (signal: AbortSignal): Promise<void> => {
    await findPeers(own, signal)
    const deepest = table.deepest()
    for (let prefix = 0; prefix <= deepest; prefix++) {
      await findPeers(randomIdWithPrefix(own, prefix, random), signal)
    }
  }

  return {
    join: async (signal) => {
      await knock(signal)
      signal.throwIfAborted()
      await findPeers(own, signal)
    },
    run: async (signal) => {
      for (let first = true; ; first = false) {
        // The join was enough to be useful; the buckets further away are filled behind it.
        if (!first)
          await clock.sleep(table.size === 0 ? settings.joinIntervalMs : settings.refreshIntervalMs, {
            signal
          })
        try {
          if (table.size === 0) await knock(signal)
          contacts.retrySilent(settings.k)
          await walk(signal)
        } catch {
          // The next round tries again.
        }
        signal.throwIfAborted()
      }
    }
  }
}

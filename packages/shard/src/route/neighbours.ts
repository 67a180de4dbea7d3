import type { Clock, Logger, Network, Random, RecordStore } from '@kwaai/interface'
import type { BlockServer } from '../session/server.ts'
import { createAdvertView } from './advert-view.ts'
import { createPeerFacts } from './peer-facts.ts'

/** Round trips that are told. */
const maxTold = 8

/** How far the servers are to which a block server would hand its rows on. */
export interface Neighbours {
  /** Looks for servers that begin where the own one ends, and measures the way to them. Never rejects. */
  measure(): Promise<void>
  /** The nearest of them: round trips in milliseconds. */
  nextMs(): Record<string, number> | undefined
}

/** Makes a watch over the neighbours of a server. */
export function createNeighbours(components: {
  network: Network
  records: RecordStore
  server: BlockServer
  clock: Clock
  random: Random
  logger?: Logger
}): Neighbours {
  const { server, network } = components
  const view = createAdvertView({ modelHash: server.modelHash }, components)
  const facts = createPeerFacts({ ...components, didOf: view.signer })
  let told: ReadonlyMap<string, number> = new Map()

  return {
    async measure() {
      const { to } = server.stats()
      if (to === server.blockCount) return
      await view.look()
      const after = view.adverts().filter(({ from, peer }) => from === to && peer !== network.peerId)
      await facts.measure(after)
      const measured = [...new Set(after.map(({ peer }) => peer))].flatMap((peer): [string, number][] => {
        const rttMs = facts.rttMs(peer)
        return rttMs === undefined ? [] : [[peer, steady(told.get(peer), rttMs)]]
      })
      told = new Map(measured.toSorted(([, a], [, b]) => a - b).slice(0, maxTold))
    },
    nextMs: () => (told.size === 0 ? undefined : Object.fromEntries(told))
  }
}

/** The figure told before, unless the new one is another: every change is a record that many store. */
function steady(before: number | undefined, now: number): number {
  const near = before !== undefined && Math.abs(now - before) <= Math.max(1, before / 4)
  return near ? before : Number(Math.min(now, 60_000).toPrecision(2))
}

/**
 * What all node processes of the chaos have in common: a name on the wire, frames that get lost, and memory that
 * can be looked at.
 */
import net from 'node:net'
import type { Network } from '@kwaai/interface'
import { createFaultyNetwork, createSeededRandom, type FrameVerdict } from '@kwaai/testing'
import type { NodeComponents, NodeInit } from '../../src/index.ts'

/** How a node process is started: as JSON, its one argument. */
export interface ChildInit {
  node: NodeInit
  /** The loopback address its dials come from, by which the wire knows it. */
  host: string
  /** Of its faults. */
  seed: string
}

/** Shares, or numbers, of frames of the shard protocol, sent and received. */
export interface FrameRates {
  drop: number
  duplicate: number
}

/** What the parent may ask of every node process. */
export type Common = {
  frames: (rates: FrameRates) => void
  /** Frames lost and doubled so far. */
  frameFaults: () => FrameRates
  /** Bytes in use once the garbage is gone. */
  memory: () => Promise<{ heapBytes: number }>
}

/** Reads the argument, and prepares this process for its node. */
export function prepareChild(): { init: ChildInit; components: NodeComponents; calls: Common } {
  const init = JSON.parse(process.argv[2] ?? '{}') as ChildInit
  const { connect } = net
  net.connect = ((options: net.TcpNetConnectOpts, listener?: () => void) =>
    connect({ ...options, localAddress: init.host }, listener)) as typeof net.connect

  const random = createSeededRandom(init.seed)
  let rates: FrameRates = { drop: 0, duplicate: 0 }
  const done = { drop: 0, duplicate: 0 }
  const onFrame = async ({ protocol }: { protocol: string }): Promise<FrameVerdict> => {
    if (!protocol.startsWith('/kwaai/shard/')) return 'pass'
    const at = random.next()
    const verdict = at < rates.drop ? 'drop' : at < rates.drop + rates.duplicate ? 'duplicate' : 'pass'
    if (verdict !== 'pass') done[verdict]++
    return verdict
  }
  return {
    init,
    components: { decorateNetwork: (network: Network) => createFaultyNetwork(network, { onFrame }) },
    calls: {
      frames: (next: FrameRates) => {
        rates = next
      },
      frameFaults: () => done,
      memory: async () => {
        // Twice: what the first round finalises, the second one frees.
        for (let round = 0; round < 2; round++) {
          globalThis.gc?.()
          await new Promise((resolve) => setImmediate(resolve))
        }
        return { heapBytes: process.memoryUsage().heapUsed }
      }
    }
  }
}

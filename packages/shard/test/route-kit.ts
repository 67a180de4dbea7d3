import { createIdentity } from '@kwaai/identity'
import type { Network, Outcome } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, type MemoryHub } from '@kwaai/interface/memory'
import {
  createFakeClock,
  createFaults,
  createSeededRandom,
  type ControlledFaults,
  type FakeClock
} from '@kwaai/testing'
import {
  createAdvertiser,
  createChainSource,
  type AdvertiserComponents,
  type AdvertiserInit,
  type ChainSource,
  type ChainSourceComponents,
  type ChainSourceInit
} from '../src/route/index.ts'
import { createBlockServer, type BlockServer, type BlockServerInit } from '../src/session/index.ts'
import { createRecordBoard, type RecordBoard } from './record-board.ts'
import { createFakeRunner, hiddenSize, modelHash, numericsClass, type FakeRunner } from './session-kit.ts'

/** A server that is announced. */
export interface Served {
  peer: string
  did: string
  network: Network
  server: BlockServer
  runner: FakeRunner
  withdraw(): Promise<void>
}

/** Servers of a model of six blocks, a board where they announce themselves, and sources that find them. */
export interface RouteStage {
  clock: FakeClock
  hub: MemoryHub
  faults: ControlledFaults
  board: RecordBoard
  client: Network
  outcomes: Outcome[]
  member(seed: number): Promise<{ network: Network; did: string }>
  serve(
    seed: number,
    from: number,
    to: number,
    init?: Partial<BlockServerInit> & AdvertiserInit,
    components?: Partial<AdvertiserComponents> & { knowsNext?: boolean }
  ): Promise<Served>
  sourceOf(init?: Partial<ChainSourceInit>, components?: Partial<ChainSourceComponents>): ChainSource
  /** Runs when the stage stops. */
  closing: (() => Promise<void>)[]
  stop(): Promise<void>
}

export async function createRouteStage(): Promise<RouteStage> {
  const clock = createFakeClock()
  const faults = createFaults({}, { clock, random: createSeededRandom(1) })
  const hub = createMemoryHub({ clock, faults })
  const board = createRecordBoard(clock)
  const outcomes: Outcome[] = []
  const closing: (() => Promise<void>)[] = []

  const member = async (seed: number): Promise<{ network: Network; did: string }> => {
    const { did, peerId } = createIdentity({ seed: new Uint8Array(32).fill(seed) })
    const network = createMemoryNetwork(hub, { peerId })
    await network.start()
    closing.push(() => network.stop())
    return { network, did }
  }
  const { network: client } = await member(99)

  return {
    clock,
    hub,
    faults,
    board,
    client,
    outcomes,
    closing,
    member,
    async serve(seed, from, to, { region, refreshMs = 1000, ...init } = {}, { knowsNext, ...more } = {}) {
      const { network, did } = await member(seed)
      const runner = createFakeRunner({ from, to, blockCount: 6 })
      const server = createBlockServer(
        { modelHash, numericsClass, measure: false, ...init },
        { network, runner, clock, random: createSeededRandom(seed) }
      )
      await server.start()
      const advertiser = createAdvertiser(
        { refreshMs, ...(region === undefined ? {} : { region }) },
        {
          records: board.store(did),
          server,
          clock,
          ...(knowsNext === true ? { network, random: createSeededRandom(seed) } : {}),
          ...more
        }
      )
      await advertiser.start()
      closing.push(() => advertiser.stop())
      return { peer: network.peerId, did, network, server, runner, withdraw: () => advertiser.stop() }
    },
    sourceOf(init = {}, components = {}) {
      const source = createChainSource(
        { modelHash, blockCount: 6, hiddenSize, openTimeoutMs: 100, ...init },
        {
          network: client,
          records: board.store('did:key:client'),
          clock,
          random: createSeededRandom(1),
          evidence: { record: (outcome) => void outcomes.push(outcome) },
          ...components
        }
      )
      closing.push(() => source.stop())
      return source
    },
    async stop() {
      for (const close of closing.splice(0).toReversed()) await close()
    }
  }
}

// A fleet of servers on one hub, whose every arrival and every wait the test decides.
import { KwaaiError, type Network, type PeerId } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, type MemoryHub } from '@kwaai/interface/memory'
import {
  createFakeClock,
  createFaultyNetwork,
  createSeededRandom,
  createSeededScheduler,
  type FakeClock,
  type FrameEvent,
  type FrameVerdict
} from '@kwaai/testing'
import { expect } from 'vitest'
import {
  createBlockServer,
  openChain,
  type BlockServer,
  type BlockServerInit,
  type ChainOptions,
  type PlannedHop,
  type RecoveryEvent,
  type ReplacementRequest,
  type ShardChain,
  type SpanPlanner
} from '../src/session/index.ts'
import {
  alone,
  createFakeRunner,
  hiddenSize,
  modelHash,
  numericsClass,
  rowsOf,
  type FakeRunner
} from './session-kit.ts'

export const blockCount = 6

/** Where chains are cut, and the spans between. */
export const cuts = [0, 2, 3, 6]
export const spans = [
  [0, 2],
  [2, 3],
  [3, 6]
] as const

/** One server of the fleet. */
export interface Member {
  peer: PeerId
  from: number
  to: number
  network: Network
  runner: FakeRunner
  server: BlockServer
  alive: boolean
}

/** Everything a story of failures happens in. */
export interface Fleet {
  hub: MemoryHub
  clock: FakeClock
  client: Network
  members: Member[]
  /** What servers reported as failed, in order. */
  blamed: { peer: PeerId; code: string }[]
  asked: ReplacementRequest[]
  events: RecoveryEvent[]
  /** Done at these arrivals, by number. */
  atTurn: Map<number, () => void>
  turns: number
  /** Decides about single frames, at their sender. Default: they pass. */
  onFrame: (own: PeerId, frame: FrameEvent, signal: AbortSignal) => Promise<FrameVerdict> | FrameVerdict
  planner: SpanPlanner
  /** The planner says nothing of classes. */
  anyClass: boolean
  /** The planner takes a server for one of these blocks, whatever it has. */
  advertise(peer: PeerId, from: number, to: number): void
  member(peer: PeerId): Member
  kill(peer: PeerId): void
  /** From now on nothing arrives at it or comes from it, and no error shows. */
  hang(peer: PeerId): void
  /** A server of a span with such a number among its twins. */
  twin(from: number, to: number, which?: number): Member
  /** Starts one more server. */
  add(from: number, to: number, init?: Partial<BlockServerInit>): Promise<Member>
  open(hops: readonly PlannedHop[], options?: Partial<ChainOptions>, planned?: boolean): Promise<ShardChain>
  /** Lets arrivals and time go on until a promise is settled; fails when nothing is left that could settle it. */
  until<T>(promise: PromiseLike<T>, maxMs?: number): Promise<T>
  /** Lets everything that is under way arrive. */
  settle(ms?: number): Promise<void>
  /** No session is open anywhere but at dead servers and those that hang. */
  expectClean(): Promise<void>
  stop(): Promise<void>
}

/** A fleet of servers of these spans, named `a0-2`, `b0-2`, … for the twins of a span. */
export async function createFleet(
  seed: number,
  spans: readonly (readonly [number, number])[],
  init: Partial<BlockServerInit> = {}
): Promise<Fleet> {
  const clock = createFakeClock()
  const scheduler = createSeededScheduler(createSeededRandom(seed))
  const hung = new Set<PeerId>()
  const adverts = new Map<PeerId, PlannedHop>()
  const hub = createMemoryHub({
    clock,
    faults: {
      transfer: async ({ from, to }, signal) => {
        if (hung.has(from) || hung.has(to)) await never(signal)
        await scheduler.turn({ signal })
        if (hung.has(from) || hung.has(to)) await never(signal)
        fleet.atTurn.get(fleet.turns++)?.()
        return 'pass'
      },
      dial: async ({ to }, signal) => {
        if (hung.has(to)) await never(signal)
        return 'pass'
      }
    }
  })
  const join = async (peerId: PeerId): Promise<Network> => {
    const network = createMemoryNetwork(hub, { peerId })
    await network.start()
    return createFaultyNetwork(network, {
      onFrame: async (frame, signal) =>
        frame.direction === 'send' ? fleet.onFrame(peerId, frame, signal) : 'pass'
    })
  }
  const fleet: Fleet = {
    hub,
    clock,
    client: await join('client'),
    members: [],
    blamed: [],
    asked: [],
    events: [],
    atTurn: new Map(),
    turns: 0,
    onFrame: () => 'pass',
    planner: {
      failed: ({ peer }, error) =>
        void fleet.blamed.push({ peer, code: KwaaiError.is(error) ? error.code : String(error) }),
      replace: async (request) => {
        fleet.asked.push(request)
        const hops = cover([...adverts.values()], request)
        if (hops === undefined) return { problem: 'no such servers are known' }
        const { numericsClass: kept } = request
        return { hops: fleet.anyClass ? hops : hops.map((hop) => ({ ...hop, numericsClass: kept })) }
      }
    },
    anyClass: false,
    advertise: (peer, from, to) => void adverts.set(peer, { peer, from, to }),
    member: (peer) => fleet.members.find((one) => one.peer === peer) as Member,
    kill(peer) {
      fleet.member(peer).alive = false
      hub.kill(peer)
    },
    hang: (peer) => void hung.add(peer),
    twin: (from, to, which = 0) =>
      fleet.members.filter((one) => one.from === from && one.to === to)[which] as Member,
    async add(from, to, own = {}) {
      const twins = fleet.members.filter((one) => one.from === from && one.to === to).length
      const peer = `${'abcdef'[twins]}${from}-${to}`
      const network = await join(peer)
      const runner = createFakeRunner({ from, to, blockCount })
      const server = createBlockServer(
        { modelHash, numericsClass, measure: false, ...init, ...own },
        { network, runner, clock, random: createSeededRandom(`${seed} ${peer}`) }
      )
      await server.start()
      const member = { peer, from, to, network, runner, server, alive: true }
      fleet.members.push(member)
      fleet.advertise(peer, from, to)
      return member
    },
    open: (hops, options = {}, planned = true) =>
      openChain(
        { modelHash, blockCount, hops },
        {
          network: fleet.client,
          clock,
          random: createSeededRandom(`keys ${seed}`),
          ...(planned ? { planner: fleet.planner } : {})
        },
        { maxTokens: 128, hiddenSize, onRecovery: (event) => fleet.events.push(event), ...options }
      ),
    async until(promise, maxMs = 120_000) {
      let settled = false
      const mark = (): void => void (settled = true)
      promise.then(mark, mark)
      const end = clock.monotonic() + maxMs
      for (;;) {
        await scheduler.run()
        if (settled) return await promise
        if (clock.monotonic() > end || !(await clock.advanceToNext())) {
          throw new Error(`Nothing is left that could happen at ${clock.monotonic()} ms: it hangs`)
        }
      }
    },
    async settle(ms = 0) {
      await scheduler.run()
      for (let left = ms; left > 0; left -= 250) {
        await clock.advance(Math.min(left, 250))
        await scheduler.run()
      }
    },
    async expectClean() {
      await fleet.settle(10_000)
      const open = fleet.members
        .filter(({ alive, peer }) => alive && !hung.has(peer))
        .map(({ peer, server, runner }) => [peer, server.stats().sessions, runner.openSessions])
      expect(open).toEqual(open.map(([peer]) => [peer, 0, 0]))
    },
    async stop() {
      for (const peer of hub.peers()) hub.kill(peer)
      await fleet.until(Promise.all(fleet.members.map(({ server }) => server.stop())))
    }
  }
  for (const [from, to] of spans) await fleet.add(from, to)
  return fleet
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** The exact cover with the fewest servers; of twins the first one. It does not know who is dead. */
function cover(adverts: readonly PlannedHop[], request: ReplacementRequest): PlannedHop[] | undefined {
  const paths = new Map<number, PlannedHop[]>([[request.from, []]])
  for (let block = request.from; block < request.to; block++) {
    const path = paths.get(block)
    if (path === undefined) continue
    for (const { peer, from, to } of adverts) {
      if (from !== block || to > request.to || request.excluded.has(peer)) continue
      const longer = [...path, { peer, from, to }]
      if ((paths.get(to)?.length ?? Infinity) > longer.length) paths.set(to, longer)
    }
  }
  return paths.get(request.to)
}

/** The first twins of these spans as a plan. */
export function hopsOf(fleet: Fleet, cuts: readonly number[]): PlannedHop[] {
  return cuts.slice(1).map((to, index) => {
    const { peer, from } = fleet.twin(cuts[index] as number, to)
    return { peer, from, to, numericsClass }
  })
}

/** The steps of a generation. */
export interface Story {
  steps: { past: number; hidden: Float32Array; kernel: 'tile' | 'vec'; result: 'none' | 'last' | 'all' }[]
  /** The first so many are sent without waiting. */
  overlapping: number
}

/** A prompt in pieces that overlap, single rows one after the other, a roll-back, single rows again. */
export function storyOf(seed: number, rows = 8): Story {
  const random = createSeededRandom(`story ${seed}`)
  const steps: Story['steps'] = []
  let length = 0
  const add = (
    past: number,
    count: number,
    kernel: 'tile' | 'vec',
    result: 'none' | 'last' | 'all'
  ): void => {
    steps.push({ past, hidden: rowsOf(count, 1_000 * seed + steps.length), kernel, result })
    length = past + count
  }
  for (let index = 0; index < 3; index++) {
    add(length, 1 + Math.floor(4 * random.next()), 'tile', index < 2 ? 'none' : 'last')
  }
  for (let index = 0; index < rows / 2; index++) add(length, 1, 'vec', 'last')
  add(Math.floor(length * random.next()), 2, 'vec', 'all')
  for (let index = 0; index < rows / 2; index++) add(length, 1, 'vec', 'last')
  return { steps, overlapping: 3 }
}

/** What the steps give when nothing goes wrong. */
export async function truthOf({ steps }: Story): Promise<Float32Array[]> {
  const all = await alone(blockCount, steps)
  return all.map((rows, index) => {
    const { result } = steps[index] as Story['steps'][number]
    return result === 'all' ? rows : rows.slice(result === 'last' ? -hiddenSize : rows.length)
  })
}

/** Runs a story; ends at the first step that fails. */
export async function play(chain: ShardChain, { steps, overlapping }: Story): Promise<Float32Array[]> {
  const results = await Promise.all(steps.slice(0, overlapping).map((step) => chain.forward(step)))
  for (const step of steps.slice(overlapping)) results.push(await chain.forward(step))
  return results
}

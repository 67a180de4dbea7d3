import { createIdentity } from '@kwaai/identity'
import type { CallOptions, Clock, Did, Logger, Network, PeerId, Random } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, type MemoryHub } from '@kwaai/interface/memory'
import { createGate, type Gate } from '@kwaai/interface/streams'
import {
  createFakeClock,
  createFaultyNetwork,
  createSeededRandom,
  createSeededScheduler,
  type FrameEvent,
  type FrameVerdict
} from '@kwaai/testing'
import { shardProtocol } from '../../src/constants.ts'
import { createRecordBoard, type RecordBoard } from '../record-board.ts'
import { readFrame, type SeenFrame } from './frames.ts'
import { createJournal, type Journal } from './journal.ts'

/** What the world asks at each of its awaits. */
export interface WorldHooks {
  /** An arrival or a timer; the count of them goes up by one each time. */
  onAwait(at: number): void
  /** A frame leaves a peer: what becomes of it, how much later it comes, and a word for the journal. */
  onFrame(
    from: string,
    to: string,
    frame: SeenFrame
  ): { verdict: FrameVerdict; delayMs: number; note: string }
  /** A frame has arrived. */
  onArrival(from: string, to: string, frame: SeenFrame): void
}

/** One process of a world: its time and network are its own and end with it. */
export interface Process {
  readonly name: string
  readonly peerId: PeerId
  readonly did: Did
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly alive: boolean
  /** Timers that run. */
  readonly timers: readonly number[]
  /** Ends it as a crash would: no timer of it wakes any more, nobody hears a word. */
  kill(): void
}

/** A world in which everything that happens is decided by a seed. */
export interface World {
  readonly hub: MemoryHub
  readonly board: RecordBoard
  readonly journal: Journal
  /** Milliseconds since it began. */
  ms(): number
  /** Waits without a timer of anybody's. */
  wait(ms: number, options?: CallOptions): Promise<void>
  process(name: string): Promise<Process>
  /** Nothing to and from a peer arrives, and no timer of it wakes, until {@link resume}. */
  stall(name: string): void
  resume(name: string): void
  /** Milliseconds a peer has stood still until now. */
  stalledMs(name: string): number
  /** The text with the names of this world in the place of peer ids. */
  named(text: string): string
  peerOf(name: string): PeerId
  nameOf(peer: PeerId): string
  /** Runs until `done`, or until nothing can happen any more, or `limitMs`. @returns why it ended. */
  run(done: () => boolean, onTime: () => void, limitMs: number): Promise<'done' | 'quiet' | 'late'>
  /** Timers that run, with whose they are: "server-1a in 300 ms". */
  timers(): string[]
}

const identities = new Map<string, { did: Did; peerId: PeerId }>()

/** The same name has the same identity in every world. */
function identityOf(name: string): { did: Did; peerId: PeerId } {
  const known = identities.get(name)
  if (known !== undefined) return known
  const made = createIdentity({ seed: createSeededRandom(`identity ${name}`).bytes(32) })
  const identity = { did: made.did, peerId: made.peerId }
  identities.set(name, identity)
  return identity
}

/** Milliseconds a frame travels: so much between two peers, always, and so much more by chance. */
const latency = { least: 1, most: 24, jitter: 4 }

export function createWorld(seed: number, hooks: WorldHooks): World {
  const clock = createFakeClock()
  const order = createSeededRandom(`order ${seed}`)
  const scheduler = createSeededScheduler(order)
  const stalls = new Map<string, { gate: Gate; since: number }>()
  const stalledBefore = new Map<string, number>()
  const names = new Map<PeerId, string>()
  const started = new Map<string, number>()
  const processes = new Set<Process>()
  let awaits = 0

  const journal = createJournal(() => ({ ms: clock.monotonic(), at: awaits }))
  const nameOf = (peer: PeerId): string => names.get(peer) ?? peer
  const named = (text: string): string => text.replaceAll(/12D3Koo\w+/g, (peer) => nameOf(peer))

  const stalledMs = (name: string): number => {
    const since = stalls.get(name)?.since
    return (stalledBefore.get(name) ?? 0) + (since === undefined ? 0 : clock.monotonic() - since)
  }

  /** Waits for its turn among all that could happen now. */
  const turn = async (of: readonly string[], signal?: AbortSignal): Promise<void> => {
    const options = signal === undefined ? {} : { signal }
    for (;;) {
      await scheduler.turn(options)
      const stall = of.map((name) => stalls.get(name)).find((found) => found !== undefined)
      if (stall === undefined) break
      await stall.gate.wait(signal)
    }
    hooks.onAwait(++awaits)
    // The fault of this very await may have ended what waited.
    signal?.throwIfAborted()
  }

  const bases = new Map<string, number>()
  const travel = async (from: string, to: string, extraMs: number, signal: AbortSignal): Promise<void> => {
    const pair = from < to ? `${from} ${to}` : `${to} ${from}`
    const base =
      bases.get(pair) ??
      latency.least + (latency.most - latency.least) * createSeededRandom(`${seed} ${pair}`).next()
    bases.set(pair, base)
    await clock.sleep(base + latency.jitter * order.next() + extraMs, { signal })
    await turn([from, to], signal)
  }

  const hub = createMemoryHub({
    clock,
    faults: {
      dial: async ({ from, to }, signal) => {
        await travel(nameOf(from), nameOf(to), 0, signal)
        return 'pass'
      },
      transfer: async ({ from, to, protocol, bytes }, signal) => {
        // Frames have travelled already; what is left are the beginnings and ends of streams.
        if (bytes === 0 || protocol !== shardProtocol) await travel(nameOf(from), nameOf(to), 0, signal)
        return 'pass'
      }
    }
  })

  const roads = new WeakMap<AbortSignal, Promise<void>>()
  const onFrame =
    (name: string) =>
    async (event: FrameEvent, signal: AbortSignal): Promise<FrameVerdict> => {
      if (event.direction === 'receive') return 'pass'
      const to = nameOf(event.peer)
      const frame = readFrame(event.bytes)
      const { verdict, delayMs, note } = hooks.onFrame(name, to, frame)
      // Frames of one channel keep their order; the signal is the channel's own.
      const before = roads.get(signal)
      const road = travel(name, to, delayMs, signal).then(() => before)
      roads.set(
        signal,
        road.catch(() => undefined)
      )
      await road
      signal.throwIfAborted()
      journal.add('wire', `${name} → ${to}`, named(frame.text) + note)
      if (verdict === 'pass' || verdict === 'duplicate') hooks.onArrival(name, to, frame)
      return verdict
    }

  const startProcess = async (name: string): Promise<Process> => {
    const { did, peerId } = identityOf(name)
    names.set(peerId, name)
    const life = (started.get(name) ?? 0) + 1
    started.set(name, life)
    const network = createFaultyNetwork(createMemoryNetwork(hub, { peerId }), { onFrame: onFrame(name) })
    const timers = new Map<object, number>()
    const death = new AbortController()
    const own: Clock = {
      now: clock.now,
      monotonic: clock.monotonic,
      sleep: async (ms, { signal } = {}) => {
        signal?.throwIfAborted()
        if (death.signal.aborted) await new Promise(() => undefined)
        const timer = {}
        timers.set(timer, clock.monotonic() + ms)
        const any = signal === undefined ? death.signal : AbortSignal.any([signal, death.signal])
        try {
          await clock.sleep(ms, { signal: any })
          await turn([name], any)
        } catch (error) {
          // The dead do not wake.
          if (death.signal.aborted) await new Promise(() => undefined)
          throw error
        } finally {
          timers.delete(timer)
        }
      }
    }
    await network.start()
    const process: Process = {
      name,
      did,
      peerId,
      network,
      clock: own,
      random: createSeededRandom(`${seed} ${name} ${life}`),
      logger: {
        log: (level, event, fields = {}) => {
          const facts = Object.entries(fields).map(([key, value]) => `${key}: ${factText(value)}`)
          if (!death.signal.aborted) journal.add('log', name, named(`${level} ${event} ${facts.join(', ')}`))
        }
      },
      get alive() {
        return !death.signal.aborted
      },
      get timers() {
        return [...timers.values()]
      },
      kill() {
        death.abort(new Error(`${name} is dead`))
        hub.kill(peerId)
        timers.clear()
      }
    }
    processes.add(process)
    return process
  }

  return {
    hub,
    board: createRecordBoard(clock),
    journal,
    ms: clock.monotonic,
    wait: async (ms, { signal } = {}) => {
      await clock.sleep(ms, signal === undefined ? {} : { signal })
      await turn([], signal)
    },
    process: startProcess,
    stall: (name) => {
      if (!stalls.has(name)) stalls.set(name, { gate: createGate(), since: clock.monotonic() })
    },
    resume: (name) => {
      const stall = stalls.get(name)
      if (stall === undefined) return
      stalledBefore.set(name, stalledMs(name))
      stalls.delete(name)
      stall.gate.wake()
    },
    stalledMs,
    named,
    nameOf,
    peerOf: (name) => identityOf(name).peerId,
    async run(done, onTime, limitMs) {
      for (;;) {
        // One turn at a time would look at `done` more often than needed: a run ends when nobody waits.
        await scheduler.run()
        if (done()) return 'done'
        if (clock.monotonic() > limitMs) return 'late'
        if (!(await clock.advanceToNext())) return 'quiet'
        onTime()
      }
    },
    timers: () => {
      const own = [...processes].flatMap(({ name, timers }) =>
        timers.map((at) => `${name} in ${Math.round(at - clock.monotonic())} ms`)
      )
      return own.length > 0 || clock.sleeping === 0 ? own : [`${clock.sleeping} of the network`]
    }
  }
}

function factText(value: unknown): string {
  const plain = typeof value !== 'object' || value === null || value instanceof Error
  return plain ? String(value) : JSON.stringify(value)
}

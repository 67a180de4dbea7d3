import type { BlockRunner, BlockStep, KvHandle } from '@kwaai/interface'
import { advertKey, advertSubkey, createAdvertiser, encodeAdvert } from '../../src/route/index.ts'
import { createBlockServer, type BlockServer } from '../../src/session/index.ts'
import { blockCount, hiddenSize, type SimModel } from './model.ts'
import type { ServerPlan } from './story.ts'
import type { Process, World } from './world.ts'

export const modelHash: string = '5a'.repeat(32)

/** Milliseconds a step takes, and each of its rows, at a server of slowness one. */
const stepMs = 2
const rowMs = 0.5
/** Milliseconds a server that goes away leaves its sessions. */
const drainMs = 5_000

/** A place where a server runs, dies, and runs again. */
export interface ServerHost {
  readonly plan: ServerPlan
  /** The server that runs here now. */
  readonly server: BlockServer | undefined
  /** Sessions its runner holds. */
  readonly held: number
  start(): Promise<void>
  kill(): void
  /** Tells its sessions to move, where it can, and ends in good order. */
  drain(): Promise<void>
  stop(): Promise<void>
  /** Its runner forgets all sessions. */
  forget(): void
}

/** What becomes of a call of a runner. */
export interface CallFate {
  result: 'good' | 'failure' | 'nan'
  /** What it waits for besides. */
  held: Promise<void>
}

/** What a host asks before a call of its runner. */
export type RunnerHook = (server: string) => CallFate

export interface HostInit {
  world: World
  model: SimModel
  plan: ServerPlan
  /** It has room for one session alone. */
  full: boolean
  /** Blocks it announces besides its own. */
  lie: { from: number; to: number } | undefined
  onCall: RunnerHook
}

export function createServerHost(init: HostInit): ServerHost {
  const { world, model, plan, onCall } = init
  let running:
    | { process: Process; server: BlockServer; advertiser: ReturnType<typeof createAdvertiser> }
    | undefined
  let runner: ReturnType<typeof createSimRunner> | undefined
  let starting = false

  const host: ServerHost = {
    plan,
    get server() {
      return running?.server
    },
    get held() {
      return runner?.held ?? 0
    },
    async start() {
      if (running !== undefined) return
      const process = await world.process(plan.name)
      const { network, clock, random, logger } = process
      const simRunner = createSimRunner(model.runner(plan), plan, process, () =>
        // A server that cannot even measure itself does not start: nothing to learn from that.
        starting ? { result: 'good', held: Promise.resolve() } : onCall(plan.name)
      )
      const server = createBlockServer(
        { modelHash, numericsClass: model.numericsClass, ...(init.full ? { maxSessions: 1 } : {}) },
        { network, clock, random, logger, runner: simRunner }
      )
      const records = world.board.store(process.did)
      const advertiser = createAdvertiser({ refreshMs: 2_000 }, { records, server, clock, logger })
      runner = simRunner
      running = { process, server, advertiser }
      starting = true
      await server.start().finally(() => (starting = false))
      await advertiser.start()
      if (init.lie !== undefined) {
        const value = encodeAdvert({
          ...init.lie,
          peer: network.peerId,
          blockCount,
          numericsClass: model.numericsClass,
          maxTokens: 512,
          freeTokens: 1_000_000,
          tokensPerSecond: 1_000,
          queuedSteps: 0,
          price: 0
        })
        await records.put({ key: advertKey(modelHash), subkey: advertSubkey(init.lie), value })
      }
    },
    kill() {
      running?.process.kill()
      runner?.forget()
      running = undefined
      runner = undefined
    },
    async drain() {
      const current = running
      if (current === undefined) return
      await current.advertiser.stop()
      await current.server.drain({ deadlineMs: drainMs })
      await host.stop()
    },
    async stop() {
      const current = running
      if (current === undefined) return
      await current.advertiser.stop()
      await current.server.stop()
      await current.process.network.stop()
      if (running === current) running = undefined
    },
    forget: () => runner?.forget()
  }
  return host
}

/** A runner whose calls take virtual time, and fail when they are told to. */
function createSimRunner(
  base: BlockRunner,
  plan: ServerPlan,
  process: Process,
  onCall: () => ReturnType<RunnerHook>
): BlockRunner & { readonly held: number; forget(): void } {
  const held = new Set<KvHandle>()
  const computeMs = (steps: readonly BlockStep[]): number => {
    const rows = steps.reduce((sum, { hidden }) => sum + hidden.length / hiddenSize, 0)
    return plan.slowness * (stepMs + rowMs * rows * (0.75 + process.random.next() / 2))
  }
  return {
    ...base,
    get held() {
      return held.size
    },
    async open(init, options) {
      const session = await base.open(init, options)
      held.add(session)
      return session
    },
    async forward(steps, options) {
      const { result: fate, held: until } = onCall()
      await until
      // The sleep of a dead process never ends.
      await process.clock.sleep(computeMs(steps), options)
      if (fate === 'failure') throw new Error('The runner failed, as it was told to')
      const results = await base.forward(steps, options)
      if (fate === 'good') return results
      return results.map((result) => (result instanceof Float32Array ? result.fill(NaN) : result))
    },
    async close(session) {
      held.delete(session)
      await base.close(session)
    },
    forget() {
      held.clear()
      void base[Symbol.asyncDispose]()
    }
  }
}

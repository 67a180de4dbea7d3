import {
  KwaaiError,
  type BlockRunner,
  type BlockStep,
  type Channel,
  type ModelShape,
  type Network
} from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, type MemoryHub } from '@kwaai/interface/memory'
import {
  createFakeClock,
  createFaults,
  createSeededRandom,
  startMemoryNetworks,
  type ControlledFaults,
  type FakeClock
} from '@kwaai/testing'
import { hexToBytes } from '@noble/hashes/utils.js'
import {
  createBlockServer,
  decodeFrame,
  encodeFrame,
  type BlockServer,
  type BlockServerInit,
  type DecodedFrame,
  type FrameInit
} from '../src/session/index.ts'

export const modelHash: string = 'ab'.repeat(32)
export const numericsClass = 'fake/1'
export const hiddenSize = 8
export const protocol = '/kwaai/shard/1.0.0'
export const maxFrameBytes = 8_405_000

export function fakeShape(blockCount: number): ModelShape {
  return {
    architecture: 'llama',
    blockCount,
    hiddenSize,
    headCount: 2,
    kvHeadCount: 2,
    headSize: 4,
    vocabularySize: 16,
    contextLength: 256
  }
}

/** A runner with a true cache: each row's result depends on every row before it, in every block. */
export interface FakeRunner extends BlockRunner {
  /** Sizes of the batches it was given. */
  readonly batches: number[]
  readonly openSessions: number
  /** Rows computed. */
  readonly rows: number
  /** Runs before each forward; may wait or throw. */
  before: (steps: readonly BlockStep[]) => Promise<void> | void
}

interface Cache {
  maxTokens: number
  /** Sums of the values seen, by block and row. */
  sums: Float32Array[][]
}

export function createFakeRunner(range: { from: number; to: number; blockCount: number }): FakeRunner {
  const { from, to, blockCount } = range
  const caches = new Map<number, Cache>()
  const batches: number[] = []
  let next = 1
  let rowsDone = 0

  const runRow = (cache: Cache, row: Float32Array, kernel: string): Float32Array => {
    let x = row
    cache.sums.forEach((sums, index) => {
      const before = sums.at(-1) ?? new Float32Array(hiddenSize)
      const sum = before.map((value, i) => value + (x[i] as number))
      sums.push(sum)
      const bias = 0.01 * (from + index + 1) + (kernel === 'tile' ? 0.125 : 0)
      x = x.map(
        (value, i) => 0.5 * value + (0.3 * (sum[(i + 1) % hiddenSize] as number)) / sums.length + bias
      )
    })
    return x
  }
  const cacheOf = (session: number): Cache => {
    const cache = caches.get(session)
    if (cache === undefined)
      throw new KwaaiError('ERR_BACKEND_UNKNOWN_SESSION', 'Cannot run: no such session')
    return cache
  }
  const trim = (cache: Cache, length: number): void => {
    for (const sums of cache.sums) sums.length = Math.min(sums.length, length)
  }
  const unsupported = (): never => {
    throw new Error('The fake runner does not move rows')
  }

  const runner: FakeRunner = {
    shape: fakeShape(blockCount),
    from,
    to,
    weightBytes: 0,
    kvBytesPerToken: 100,
    batches,
    before: () => undefined,
    get openSessions() {
      return caches.size
    },
    get rows() {
      return rowsDone
    },
    async open({ maxTokens }) {
      const session = next++
      caches.set(session, { maxTokens, sums: Array.from({ length: to - from }, () => []) })
      return session
    },
    async forward(steps) {
      batches.push(steps.length)
      await runner.before(steps)
      return steps.map(({ session, past, hidden, kernel }) => {
        const cache = cacheOf(session)
        const length = cache.sums[0]?.length ?? 0
        const rows = hidden.length / hiddenSize
        if (past > length || past + rows > cache.maxTokens) {
          throw new KwaaiError('ERR_BACKEND_INVALID_STEP', `Cannot run the step: ${past} past of ${length}`)
        }
        trim(cache, past)
        rowsDone += rows
        const out = new Float32Array(hidden.length)
        for (let row = 0; row < rows; row++) {
          out.set(
            runRow(cache, hidden.slice(row * hiddenSize, (row + 1) * hiddenSize), kernel),
            row * hiddenSize
          )
        }
        return out
      })
    },
    async trim(session, length) {
      trim(cacheOf(session), length)
    },
    exportKv: unsupported,
    importKv: unsupported,
    async close(session) {
      caches.delete(session)
    },
    async [Symbol.asyncDispose]() {
      caches.clear()
    }
  }
  return runner
}

/** Servers of consecutive ranges on one hub, and clients. */
export interface Stage {
  clock: FakeClock
  hub: MemoryHub
  faults: ControlledFaults
  servers: BlockServer[]
  runners: FakeRunner[]
  /** Networks of the servers, in order. */
  hosts: Network[]
  client: Network
  other: Network
  plan: { modelHash: string; blockCount: number; hops: { peer: string; from: number; to: number }[] }
  stop(): Promise<void>
}

export async function createStage(
  cuts: readonly number[],
  init: Partial<BlockServerInit> & { authorizer?: Parameters<typeof createBlockServer>[1]['authorizer'] } = {}
): Promise<Stage> {
  const clock = createFakeClock()
  const faults = createFaults({}, { clock, random: createSeededRandom(1) })
  const hub = createMemoryHub({ clock, faults })
  const [client, other, ...hosts] = (await startMemoryNetworks(cuts.length + 1, hub)) as [
    Network,
    Network,
    ...Network[]
  ]
  const blockCount = cuts.at(-1) as number
  const { authorizer, ...options } = init
  const runners = hosts.map((_, index) =>
    createFakeRunner({ from: cuts[index] as number, to: cuts[index + 1] as number, blockCount })
  )
  const servers = hosts.map((network, index) =>
    createBlockServer(
      { modelHash, numericsClass, measure: false, ...options },
      {
        network,
        runner: runners[index] as FakeRunner,
        clock,
        random: createSeededRandom(index),
        ...(authorizer === undefined ? {} : { authorizer })
      }
    )
  )
  for (const server of servers) await server.start()
  return {
    clock,
    hub,
    faults,
    servers,
    runners,
    hosts,
    client,
    other,
    plan: {
      modelHash,
      blockCount,
      hops: hosts.map(({ peerId }, index) => ({
        peer: peerId,
        from: cuts[index] as number,
        to: cuts[index + 1] as number
      }))
    },
    async stop() {
      for (const peer of hub.peers()) hub.kill(peer)
      await Promise.all(servers.map((server) => server.stop()))
    }
  }
}

/** One more server of a range of the stage's plan. */
export async function spareServer(
  stage: Stage,
  index: number,
  peerId: string,
  init: Partial<BlockServerInit> = {}
): Promise<{ host: Network; runner: FakeRunner; server: BlockServer }> {
  const { from, to } = stage.plan.hops[index]!
  const host = createMemoryNetwork(stage.hub, { peerId })
  await host.start()
  const runner = createFakeRunner({ from, to, blockCount: stage.plan.blockCount })
  const server = createBlockServer(
    { modelHash, numericsClass, measure: false, ...init },
    { network: host, runner, clock: stage.clock, random: createSeededRandom(peerId) }
  )
  await server.start()
  return { host, runner, server }
}

/** A server played by hand: what it is asked on each channel, and how it answers. */
export interface Puppet {
  /** Frames that came, on all channels. */
  readonly frames: DecodedFrame[]
  readonly channels: Channel[]
  /** Waits for the next frame; those that came before are in {@link frames}. */
  next(): Promise<DecodedFrame>
  send(body: FrameInit, payload?: Float32Array): Promise<void>
}

/**
 * Plays a server.
 *
 * @param answer - what to say to a frame; nothing by default.
 * @param reads - frames read of each channel; no more.
 */
export async function puppet(
  network: Network,
  answer: (frame: DecodedFrame) => FrameInit | undefined = () => undefined,
  reads = Infinity
): Promise<Puppet> {
  const frames: DecodedFrame[] = []
  const channels: Channel[] = []
  const waiting: ((frame: DecodedFrame) => void)[] = []
  await network.handle(
    protocol,
    {
      onChannel: async (channel) => {
        channels.push(channel)
        for (let read = 0; read < reads; read++) {
          const bytes = await channel.receive()
          if (bytes === undefined) return
          const frame = decodeFrame(bytes, { maxFrameBytes })
          frames.push(frame)
          waiting.shift()?.(frame)
          const body = answer(frame)
          if (body !== undefined) await channel.send(encodeFrame(body))
        }
        await new Promise(() => undefined)
      }
    },
    { maxFrameBytes }
  )
  return {
    frames,
    channels,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    send: (body, payload) =>
      channels.at(-1)!.send(encodeFrame(body, payload === undefined ? undefined : bytesOfRows(payload)))
  }
}

/** Joins a session as the server before it would. */
export async function rawPusher(
  from: Network,
  to: Network,
  session: Uint8Array
): Promise<RawCaller & { first: DecodedFrame }> {
  return rawChannel(from, to, session, { case: 'join', value: { session } })
}

function bytesOfRows(rows: Float32Array): Uint8Array {
  return new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)
}

/** Rows with values of a model's size, the same for the same seed. */
export function rowsOf(count: number, seed: number): Float32Array {
  const random = createSeededRandom(seed)
  return Float32Array.from({ length: count * hiddenSize }, () => 2 * random.next() - 1)
}

export function keyOf(seed: number): Uint8Array {
  return createSeededRandom(`key ${seed}`).bytes(16)
}

/** A caller that writes its frames by hand. */
export interface RawCaller {
  channel: Channel
  send(body: FrameInit, payload?: Float32Array): Promise<void>
  next(): Promise<DecodedFrame>
  /** Sends a step and waits for the answer to it. */
  step(step: RawStep): Promise<DecodedFrame>
}

export interface RawStep {
  step: number
  /** Default: the number before it. */
  previous?: number
  past: number
  hidden: Float32Array
  session?: Uint8Array
  from?: number
  to?: number
  kernel?: string
  wanted?: string
  residual?: string
  deadlineMs?: number
  traceparent?: string
}

export async function rawCaller(
  from: Network,
  to: Network,
  open: { session?: Uint8Array; from: number; to: number; maxTokens?: number } & Record<string, unknown>
): Promise<RawCaller & { first: DecodedFrame }> {
  const session = open.session ?? keyOf(1)
  const value = { session, model: hexToBytes(modelHash), maxTokens: 64, residual: 'f32', deadlineMs: 1000 }
  return rawChannel(from, to, session, { case: 'open', value: { ...value, ...open } }, open)
}

async function rawChannel(
  from: Network,
  to: Network,
  session: Uint8Array,
  greeting: FrameInit,
  range: { from: number; to: number } = { from: 0, to: 0 }
): Promise<RawCaller & { first: DecodedFrame }> {
  const channel = await from.open(to.peerId, protocol, { maxFrameBytes })
  const send = (body: FrameInit, payload?: Float32Array): Promise<void> =>
    channel.send(encodeFrame(body, payload === undefined ? undefined : bytesOfRows(payload)))
  const next = async (): Promise<DecodedFrame> => {
    const bytes = await channel.receive()
    if (bytes === undefined) throw new Error('The channel ended')
    return decodeFrame(bytes, { maxFrameBytes })
  }
  await send(greeting)
  const first = await next()
  return {
    channel,
    first,
    send,
    next,
    async step({ hidden, ...step }) {
      await send(stepBody(session, { from: range.from, to: range.to, hidden, ...step }), hidden)
      return next()
    }
  }
}

export function stepBody(session: Uint8Array, step: RawStep): FrameInit {
  const { hidden, ...value } = step
  return {
    case: 'step',
    value: {
      session,
      previous: step.step - 1,
      rows: hidden.length / hiddenSize,
      kernel: 'vec',
      wanted: 'all',
      residual: 'f32',
      ...value
    }
  }
}

/** One caller's sessions at all servers of a stage, wired so that rows go from each to the next. */
export interface PushChain {
  /** The callers' channels, in the order of the servers. */
  links: (RawCaller & { first: DecodedFrame; key: Uint8Array; host: Network; from: number; to: number })[]
  /** Names the neighbours of one server; `undefined` for the caller itself. */
  route(
    index: number,
    neighbours: { before?: number | undefined; after?: number | undefined; answered?: number; last?: number }
  ): Promise<Float32Array | string>
  /** Hands a step to the first server and waits for the result of the last. */
  step(step: Omit<RawStep, 'session' | 'from' | 'to'>): Promise<DecodedFrame>
  /** The session at another server takes a place in the chain; the wires stay as they are. */
  replace(index: number, host: Network, seed: number): Promise<void>
}

/** Opens the sessions and sets the routes. */
export async function pushChain(
  stage: Stage,
  client: Network = stage.client,
  seed = 1,
  wire = true
): Promise<PushChain> {
  const ranges = stage.plan.hops
  const hopOf = (index: number): { peer: string; from: number; to: number } => ({
    peer: (chain.links[index]?.host ?? stage.hosts[index])!.peerId,
    from: ranges[index]!.from,
    to: ranges[index]!.to
  })
  let routes = 0
  // What came while somebody waited for the answer to a route.
  const backlog = new Map<number, DecodedFrame[]>()
  const open = async (index: number, host: Network, key: Uint8Array): Promise<PushChain['links'][number]> => {
    const { from, to } = ranges[index]!
    const before = index === 0 ? {} : { before: hopOf(index - 1) }
    const forward = index < ranges.length - 1
    const caller = await rawCaller(client, host, { from, to, session: key, forward, ...before })
    const missed: DecodedFrame[] = []
    backlog.set(index, missed)
    const next = async (): Promise<DecodedFrame> => missed.shift() ?? caller.next()
    return { ...caller, next, key, host, from, to }
  }
  const chain: PushChain = {
    links: [],
    async route(index, { before, after, ...more }) {
      const { send, next, key } = chain.links[index]!
      await send({
        case: 'route',
        value: {
          session: key,
          route: ++routes,
          ...(before === undefined ? {} : { before: hopOf(before) }),
          ...(after === undefined ? {} : { after: { ...hopOf(after), session: chain.links[after]!.key } }),
          ...more
        }
      })
      const others: DecodedFrame[] = []
      for (;;) {
        const frame = await next()
        const { case: kind, value } = frame.body
        if ((kind === 'routed' || kind === 'failure') && value.route === routes) {
          backlog.get(index)?.push(...others)
          return answerOf(frame)
        }
        others.push(frame)
      }
    },
    async step(step) {
      const { send, key, from, to } = chain.links[0]!
      await send(stepBody(key, { from, to, ...step }), step.hidden)
      return chain.links.at(-1)!.next()
    },
    async replace(index, host, other) {
      chain.links[index] = await open(index, host, keyOf(other))
    }
  }
  for (const [index, host] of stage.hosts.slice(0, ranges.length).entries()) {
    chain.links.push(await open(index, host, keyOf(100 * seed + index)))
  }
  for (let index = 0; wire && index < ranges.length - 1; index++) {
    const routed = await chain.route(index, {
      before: index === 0 ? undefined : index - 1,
      after: index + 1
    })
    if (routed !== 'routed') throw new Error(`No route: ${String(routed)}`)
  }
  return chain
}

/** The rows of a result, or the code of a failure. */
export function answerOf({ body, payload }: DecodedFrame): Float32Array | string {
  if (body.case === 'failure') return body.value.code
  if (body.case !== 'result') return body.case
  return new Float32Array(payload.slice().buffer)
}

/** What a whole model in one place gives for the same steps. */
export async function alone(
  blockCount: number,
  steps: readonly { past: number; hidden: Float32Array; kernel: 'tile' | 'vec' }[]
): Promise<Float32Array[]> {
  const runner = createFakeRunner({ from: 0, to: blockCount, blockCount })
  const session = await runner.open({ maxTokens: 256 })
  const results: Float32Array[] = []
  for (const step of steps) results.push((await runner.forward([{ session, ...step }]))[0] as Float32Array)
  return results
}

/** The code a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return KwaaiError.is(error) ? error.code : String(error)
  }
  return 'no error'
}

// What a hop costs without its arithmetic: a chain of servers whose runner only hands the rows through, over
// the in-memory network, so framing, checks, ledger, executor and scheduling are what is left.
//
//   node --conditions=kwaai:source packages/shard/bench/hop.bench.ts
import type { BlockRunner, Network } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, systemClock, systemRandom } from '@kwaai/interface/memory'
import { createBlockServer, openChain } from '../src/session/index.ts'

const hiddenSize = 576
const modelHash = '00'.repeat(32)

function passThrough(from: number, to: number): BlockRunner {
  const nothing = async (): Promise<void> => undefined
  return {
    shape: {
      architecture: 'llama',
      blockCount: 3,
      hiddenSize,
      headCount: 9,
      kvHeadCount: 3,
      headSize: 64,
      vocabularySize: 1,
      contextLength: 1_000_000
    },
    from,
    to,
    weightBytes: 0,
    kvBytesPerToken: 1,
    open: async () => 1,
    forward: async (steps) => steps.map((step) => step.hidden),
    trim: nothing,
    exportKv: () => Promise.reject(new Error('not here')),
    importKv: nothing,
    close: nothing,
    [Symbol.asyncDispose]: nothing
  }
}

async function chainOf(
  hops: number
): Promise<{ forward: (past: number, rows: number) => Promise<unknown>; stop: () => Promise<void> }> {
  const hub = createMemoryHub()
  const client = createMemoryNetwork(hub, { peerId: 'client' })
  await client.start()
  const plan = { modelHash, blockCount: hops, hops: [] as { peer: string; from: number; to: number }[] }
  const servers: AsyncDisposable[] = []
  for (let index = 0; index < hops; index++) {
    const network: Network = createMemoryNetwork(hub, { peerId: `server-${index}` })
    await network.start()
    const runner = { ...passThrough(index, index + 1) }
    const server = createBlockServer(
      { modelHash, numericsClass: 'none', measure: false },
      { network, runner, clock: systemClock, random: systemRandom }
    )
    await server.start()
    servers.push(server, network)
    plan.hops.push({ peer: network.peerId, from: index, to: index + 1 })
  }
  const chain = await openChain(
    plan,
    { network: client, clock: systemClock, random: systemRandom },
    { maxTokens: 50_000, hiddenSize }
  )
  return {
    forward: (past, rows) =>
      chain.forward({
        past,
        hidden: new Float32Array(rows * hiddenSize).fill(0.5),
        kernel: 'vec',
        result: 'last'
      }),
    async stop() {
      await chain[Symbol.asyncDispose]()
      for (const server of servers) await server[Symbol.asyncDispose]()
      await client.stop()
    }
  }
}

/** The median step and the processor time of all, a step; both in microseconds. */
async function measure(
  hops: number,
  rows: number,
  count: number
): Promise<{ medianUs: number; cpuUs: number }> {
  const chain = await chainOf(hops)
  const times: number[] = []
  const before = process.cpuUsage()
  for (let step = 0; step < count; step++) {
    const begun = performance.now()
    await chain.forward(step * rows, rows)
    times.push(1000 * (performance.now() - begun))
  }
  const { user, system } = process.cpuUsage(before)
  await chain.stop()
  return { medianUs: times.toSorted((a, b) => a - b)[count >> 1] as number, cpuUs: (user + system) / count }
}

for (const [rows, count] of [
  [1, 4000],
  [64, 600]
] as const) {
  await measure(3, rows, count)
  const one = await measure(1, rows, count)
  const four = await measure(4, rows, count)
  const hop = (of: 'medianUs' | 'cpuUs'): string => ((four[of] - one[of]) / 3).toFixed(0)
  console.log(
    `${rows} rows: ${one.medianUs.toFixed(0)} us through one hop, ${four.medianUs.toFixed(0)} us through four: ` +
      `${hop('medianUs')} us a hop (${hop('cpuUs')} us of processor time)`
  )
}

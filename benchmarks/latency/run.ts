import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { ensureModel, type Node } from '@kwaai/node'
import { startCluster } from '../../packages/node/test/cluster.ts'
import { greedy } from '../../packages/node/test/greedy.ts'
import { startWire, type RemoteWire } from '../../packages/node/test/wire/index.ts'
import { median, promptOf, round, run } from '../kit.ts'

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    rounds: { type: 'string', default: '3' },
    rtts: { type: 'string', default: '0,5,20,50,100,150' },
    context: { type: 'string', default: '128' },
    tokens: { type: 'string', default: '24' }
  }
})
const rounds = Number(values.rounds)
const rtts = values.rtts.split(',').map(Number)
const context = Number(values.context)
const tokens = Number(values.tokens)

/** Trips of the residual that a token has to wait for, with three servers: there and back to each, or along them. */
const oneWays = { star: 6, push: 4 } as const
type Topology = keyof typeof oneWays

/** Measures the wire itself: round trips of one byte to a socket that sends it back. */
async function echoOver(
  wire: RemoteWire
): Promise<{ measure(count: number): Promise<number[]>; close(): void }> {
  const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = await wire.add({ name: 'echo', port: (server.address() as AddressInfo).port })
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return {
    async measure(count) {
      const times: number[] = []
      for (let index = 0; index < count; index++) {
        const started = performance.now()
        socket.write('x')
        await once(socket, 'data')
        times.push(performance.now() - started)
      }
      return times
    },
    close() {
      socket.destroy()
      server.close()
    }
  }
}

interface Measured {
  tokenMs: number[]
  prefillMs: number[]
}

async function main(): Promise<void> {
  const { path } = await ensureModel({ onNote: (text) => console.error(text) })
  await using wire = startWire()
  await using cluster = await startCluster(path, undefined, {
    wire,
    client: { topology: 'star' }
  })
  const clients: Record<Topology, Node> = {
    star: cluster.client,
    push: await cluster.join({ topology: 'push' })
  }
  const echo = await echoOver(wire)
  const prompt = promptOf(context)
  const results: { rttMs: number; measuredMs: number; of: Record<Topology, Measured> }[] = []
  try {
    let expected: string | undefined
    for (const rttMs of rtts) {
      await wire.shape([{ between: [], delayMs: rttMs / 2 }])
      const trips: number[] = []
      const of: Record<Topology, Measured> = {
        star: { tokenMs: [], prefillMs: [] },
        push: { tokenMs: [], prefillMs: [] }
      }
      // The first round warms caches and measures round trips; it is not counted.
      for (let turn = -1; turn < rounds; turn++) {
        for (const topology of (turn % 2 === 0 ? ['star', 'push'] : ['push', 'star']) as Topology[]) {
          const client = clients[topology]
          trips.push(...(await echo.measure(10)))
          const run = await greedy(client.blocks, await client.head(), prompt, tokens)
          expected ??= run.tokens.join()
          if (run.tokens.join() !== expected) throw new Error(`${topology} at ${rttMs} ms gave other tokens`)
          if (turn < 0) continue
          of[topology].tokenMs.push(median(run.decodeMs))
          of[topology].prefillMs.push(run.prefillMs)
        }
      }
      results.push({ rttMs, measuredMs: median(trips), of })
      console.log(
        `round trip ${rttMs} ms (measured ${median(trips).toFixed(1)}): ` +
          (['star', 'push'] as const)
            .map((name) => `${name} ${(1000 / median(of[name].tokenMs)).toFixed(1)} tokens/s`)
            .join(', ')
      )
    }
  } finally {
    echo.close()
  }
  report(results)
}

/**
 * What arithmetic allows: the time of a token without delay, and the trips it has to wait for.
 */
function boundOf(topology: Topology, withoutMs: number, extraMs: number): number {
  return 1000 / (withoutMs + (oneWays[topology] * extraMs) / 2)
}

function report(results: { rttMs: number; measuredMs: number; of: Record<Topology, Measured> }[]): void {
  const [first] = results
  if (first === undefined) return
  const rows = results.map(({ rttMs, measuredMs, of }) => {
    const star = median(of.star.tokenMs)
    const push = median(of.push.tokenMs)
    const bound = (topology: Topology): number =>
      round(boundOf(topology, median(first.of[topology].tokenMs), Math.max(0, measuredMs - first.measuredMs)))
    const spread = (ms: readonly number[]): [number, number] => [
      round(1000 / Math.max(...ms)),
      round(1000 / Math.min(...ms))
    ]
    return {
      name: `push, round trip ${rttMs} ms`,
      unit: 'tokens/s',
      ours: round(1000 / push),
      theirs: round(1000 / star),
      ratio: round(star / push),
      bound: { ours: bound('push'), theirs: bound('star') },
      measuredRttMs: round(measuredMs),
      prefillMs: { ours: round(median(of.push.prefillMs)), theirs: round(median(of.star.prefillMs)) },
      spread: { ours: spread(of.push.tokenMs), theirs: spread(of.star.tokenMs) }
    }
  })
  console.table(
    rows.map(({ name, ours, theirs, ratio, bound, measuredRttMs }) => ({
      name,
      push: ours,
      'push bound': bound.ours,
      star: theirs,
      'star bound': bound.theirs,
      ratio,
      'round trip': measuredRttMs
    }))
  )
  console.log(
    JSON.stringify({
      question: 'How many tokens a second does a chain of three servers give where round trips are long?',
      peer: 'the star: the client carries every residual',
      cpu: cpus()[0]?.model,
      // Of the minute before the end: what others did to the machine is in it.
      load: loadavg()[0],
      context,
      tokens,
      rounds,
      rows
    })
  )
}

run(main)

import { fork, type ChildProcess } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createCaller, type Caller } from '../ipc.ts'
import { family, usage, type SeenProcess } from '../process-tree.ts'
import { freePort, startWire, type RemoteWire } from '../wire/index.ts'
import type { ChildInit, Common } from './child.ts'
import type { ClientCalls } from './client.ts'
import type { ServerCalls } from './server.ts'

/** Which blocks the five servers hold; each block has two at least. */
export const layouts = {
  /** Every server but the third has a twin with the same cut. */
  twins: [
    [0, 15],
    [15, 30],
    [0, 15],
    [15, 30],
    [15, 30]
  ],
  /** Two covers with different cuts: who replaces one server replaces the chain. */
  cuts: [
    [0, 10],
    [10, 20],
    [20, 30],
    [0, 15],
    [15, 30]
  ]
} as const satisfies Record<string, readonly (readonly [number, number])[]>

export type Layout = keyof typeof layouts

/** A process that runs a node. */
export interface Running<C> {
  child: ChildProcess
  call: C
  /** Memory and files when it had just started. */
  atStart: { residentBytes: number; files: number }
  /** Bytes of its heap then. */
  heapAtStart: number
  ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>
}

/** A place for a node: its key, its addresses, and the process that runs it now. */
interface Place {
  name: string
  host: string
  port: number
  announced: string
  starts: number
}

export interface Server extends Place {
  blocks: readonly [from: number, to: number]
  /** With the peer id, once it is known. */
  address: string | undefined
  running: Running<Caller<ServerCalls>> | undefined
}

/** Five servers and a client, each in a process of its own, behind a wire. */
export interface Fleet {
  wire: RemoteWire
  servers: Server[]
  client: Running<Caller<ClientCalls>>
  clientName: string
  /** Notes all processes that live now, the backends' own too. @returns all there ever were, besides the wire. */
  look(): SeenProcess[]
  start(server: Server): Promise<void>
  /** Ends all that is left, by force. */
  end(): Promise<void>
}

const scripts = {
  server: new URL('./server.ts', import.meta.url),
  client: new URL('./client.ts', import.meta.url)
}

const startTimeoutMs = 90_000

/** Starts everything and waits until a chain can serve. */
export async function startFleet(init: {
  seed: number
  layout: Layout
  model: string
  folder: string
  temporary: string
}): Promise<Fleet> {
  const wire = startWire()
  const children: ChildProcess[] = []
  const seen = new Map<number, SeenProcess>()
  const end = async (): Promise<void> => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    await wire[Symbol.asyncDispose]()
  }

  const place = async (name: string, index: number): Promise<Place> => {
    const port = await freePort()
    const host = `127.77.0.${index + 1}`
    const announced = `/ip4/127.0.0.1/tcp/${await wire.add({ name, port, host })}`
    return { name, host, port, announced, starts: 0 }
  }
  const look = (): SeenProcess[] => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      for (const one of family(child.pid as number)) seen.set(one.pid, one)
    }
    return [...seen.values()]
  }
  const spawn = async <C extends Common>(
    script: keyof typeof scripts,
    at: Place,
    node: ChildInit['node'],
    ready: (call: Caller<C>) => Promise<{ heapBytes: number }>
  ): Promise<Running<Caller<C>>> => {
    const argument: ChildInit = {
      node: {
        model: init.model,
        listen: [`/ip4/127.0.0.1/tcp/${at.port}`],
        announce: [at.announced],
        bootstrap: servers.filter(({ name }) => name !== at.name).flatMap(({ address }) => address ?? []),
        ...node
      },
      host: at.host,
      seed: `${init.seed}/${at.name}/${at.starts++}`
    }
    const child = fork(
      fileURLToPath(new URL(`./${script}.ts`, import.meta.url)),
      [JSON.stringify(argument)],
      {
        serialization: 'advanced',
        execArgv: ['--conditions=kwaai:source', '--expose-gc'],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        env: { ...process.env, TMPDIR: init.temporary }
      }
    )
    children.push(child)
    const ended = new Promise<{ status: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      child.once('exit', (status, signal) => resolve({ status, signal }))
    })
    const call = createCaller<C>(child)
    const { heapBytes } = await Promise.race([
      ready(call),
      late(`${at.name} did not start within ${startTimeoutMs} ms`)
    ])
    return { child, call, atStart: usage(child.pid as number), heapAtStart: heapBytes, ended }
  }

  const servers: Server[] = []
  const start = async (server: Server): Promise<void> => {
    const dataDir = join(init.folder, server.name)
    await mkdir(dataDir, { recursive: true })
    const node = { name: server.name, blocks: server.blocks, dataDir }
    server.running = await spawn<ServerCalls>('server', server, node, async (call) => {
      server.address = (await call('status')).addresses[0]
      return call('memory')
    })
  }
  try {
    for (const [index, blocks] of layouts[init.layout].entries()) {
      const name = `server-${index + 1}`
      servers.push({ ...(await place(name, index)), blocks, address: undefined, running: undefined })
    }
    for (const server of servers) await start(server)
    const clientName = 'client'
    const client = await spawn<ClientCalls>(
      'client',
      await place(clientName, servers.length),
      // Who is slow for a moment is no worse server: the machine is busy.
      { name: clientName, blocks: 'none', maxSplitRttMs: 10_000 },
      async (call) => {
        await call('ready')
        return call('memory')
      }
    )
    return { wire, servers, client, clientName, look, start, end }
  } catch (error) {
    await end()
    throw error
  }
}

function late(why: string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(why)), startTimeoutMs).unref()
  })
}

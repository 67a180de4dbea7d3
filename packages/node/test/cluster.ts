import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, startServer, stopServer, type Node, type NodeInit, type Server } from '../src/index.ts'
import { freePort, type RemoteWire } from './wire/index.ts'

/** Server processes and a client in this process. */
export interface Cluster extends AsyncDisposable {
  servers: Server[]
  client: Node
  /** Starts another client in this process; it ends with the cluster. */
  join(init?: NodeInit): Promise<Node>
}

/** What a cluster is to be besides its spans. */
export interface ClusterInit {
  threads?: number
  /** More arguments of every server. */
  args?: readonly string[]
  /** The first client serves the API. */
  api?: boolean
  /** The servers serve it too. */
  apis?: boolean
  /** What all nodes reach each other through, as `server-0`, `server-1`, … and clients without a name. */
  wire?: RemoteWire
  /** What the first client is to be. */
  client?: NodeInit
}

/** Starts a `kwaai up` process for each span, and a client that finds them through the DHT. */
export async function startCluster(
  path: string,
  spans: readonly string[] = ['0-10', '10-20', '20-30'],
  init: ClusterInit = {}
): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'kwaai-cluster-'))
  const servers: Server[] = []
  const clients: Node[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.stop()))
    await Promise.all(servers.map(stopServer))
    await rm(folder, { recursive: true, force: true })
  }
  const placed = (name: string): Promise<Place> => placeOn(init.wire, name)
  const bootstrap = (): string[] => servers[0]?.status.addresses.slice(0, 1) ?? []
  const start = async (more: NodeInit = {}): Promise<Node> => {
    const place = await placed(`client-${clients.length}`)
    const client = await createNode({
      model: path,
      blocks: 'none',
      ...place,
      bootstrap: bootstrap(),
      // Nobody is too far: a busy machine answers late, and benchmarks put servers at a distance.
      maxSplitRttMs: 10_000,
      ...more
    })
    clients.push(client)
    await client.whenReady({ signal: AbortSignal.timeout(30_000) })
    return client
  }
  try {
    const signal = new AbortController().signal
    const threads = init.threads ?? 1
    const places: Place[] = []
    for (const index of spans.keys()) places.push(await placed(`server-${index}`))
    const startOne = async (index: number): Promise<void> => {
      const { listen, announce } = places[index] as Place
      const blocks = spans[index] as string
      const args = ['--model', path, '--blocks', blocks, '--threads', String(threads)]
      args.push('--data-dir', join(folder, String(index)), ...(init.args ?? []))
      if (init.apis === true) args.push('--api-port', '0')
      else args.push('--no-api')
      for (const address of listen) args.push('--listen', address)
      for (const address of announce) args.push('--announce', address)
      for (const address of bootstrap()) args.push('--bootstrap', address)
      servers[index] = await startServer(args, { env: process.env, signal })
    }
    await startOne(0)
    // The others need the first one's address and nothing of each other.
    const others = await Promise.allSettled([...spans.keys()].slice(1).map(startOne))
    for (const one of others) if (one.status === 'rejected') throw one.reason
    const client = await start({ ...(init.api === true ? { api: { port: 0 } } : {}), ...init.client })
    return { servers, client, join: start, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Place {
  listen: string[]
  announce: string[]
}

/** Where a node listens, and where others are told to dial: the wire's port for it. */
async function placeOn(wire: RemoteWire | undefined, name: string): Promise<Place> {
  if (wire === undefined) return { listen: [], announce: [] }
  const port = await freePort()
  const listen = [`/ip4/127.0.0.1/tcp/${port}`]
  return { listen, announce: [`/ip4/127.0.0.1/tcp/${await wire.add({ name, port })}`] }
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, startServer, stopServer, type Node, type Server } from '../src/index.ts'

/** Server processes and a client in this process. */
export interface Cluster extends AsyncDisposable {
  servers: Server[]
  client: Node
}

/** Starts a `kwaai up` process for each span, and a client that finds them through the DHT. */
export async function startCluster(
  path: string,
  spans: readonly string[] = ['0-10', '10-20', '20-30'],
  init: { threads?: number; args?: readonly string[]; api?: boolean } = {}
): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'kwaai-cluster-'))
  const servers: Server[] = []
  let client: Node | undefined
  const stop = async (): Promise<void> => {
    await client?.stop()
    await Promise.all(servers.map(stopServer))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const signal = new AbortController().signal
    const threads = init.threads ?? 1
    for (const [index, blocks] of spans.entries()) {
      const first = servers[0]?.status.addresses[0]
      const args = ['--model', path, '--blocks', blocks, '--no-api', '--threads', String(threads)]
      args.push('--data-dir', join(folder, String(index)), ...(init.args ?? []))
      if (first !== undefined) args.push('--bootstrap', first)
      servers.push(await startServer(args, { env: process.env, signal }))
    }
    const bootstrap = servers[0]?.status.addresses.slice(0, 1) ?? []
    client = await createNode({
      model: path,
      blocks: 'none',
      bootstrap,
      ...(init.api === true ? { api: { port: 0 } } : {})
    })
    await client.whenReady({ signal: AbortSignal.timeout(30_000) })
    return { servers, client, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

import { serveApi } from '@kwaai/api/node'
import type { Logger, Network } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { loopbackHost } from '../constants.ts'
import { openCredentials } from '../credentials/credential-folder.ts'
import { nodeError } from '../errors.ts'
import { createIssuerHandler } from '../issuer/issuer-handler.ts'
import { createIssuing } from '../issuer/issuing.ts'
import { createObservationLog } from '../issuer/observations.ts'
import { createWatcher } from '../issuer/watcher.ts'
import { loadIdentity } from '../node-key.ts'
import { createNode } from '../node.ts'
import { createTeardown } from '../teardown.ts'
import { keyOptionsOf } from './identity-verb.ts'
import { defaultIssuerPort } from './issuer.ts'
import { nodeComponents, nodeInit } from './node-options.ts'
import { parseWhole, type ParsedOptions } from './options.ts'
import { printable, type Io } from './terminal.ts'
import { aborted, stopWithin } from './up.ts'

function number(options: ParsedOptions, name: string, fallback: number, min: number, max: number): number {
  return parseWhole(name, options.text(name) ?? String(fallback), min, max)
}

/** Runs the node, its watch and its server until the command is asked to end. */
export async function serveIssuer(options: ParsedOptions, io: Io): Promise<number> {
  const port = number(options, 'port', defaultIssuerPort, 0, 65_535)
  const host = options.text('host') ?? loopbackHost
  const url = options.text('url')
  if (host !== loopbackHost && url === undefined) {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot issue at ${printable(host)} without --url: every credential says where its status list is`
    )
  }
  const init = nodeInit(options, io)
  const dataDir = init.dataDir as string
  const json = options.flag('json')
  const tell = (event: Record<string, unknown>, line: string): void => {
    io.stdout.write(`${json ? JSON.stringify(event) : printable(line)}\n`)
  }
  const { components, endProgress } = nodeComponents(io)
  const keyOptions = await keyOptionsOf(options, io)
  const { passphrase } = keyOptions
  // A person types it once: what opened the node's key opens it again for issuing.
  let typed: string | undefined
  const ask = async (question: string): Promise<string | undefined> =>
    (typed = await keyOptions.askPassphrase?.(question))
  const teardown = createTeardown()
  try {
    let network: Network | undefined
    const node = await createNode(
      {
        ...init,
        blocks: init.blocks ?? 'none',
        embeddings: false,
        ...(passphrase === undefined ? {} : { passphrase })
      },
      { ...components, askPassphrase: ask, decorateNetwork: (own) => (network = own) },
      { signal: io.signal }
    ).finally(endProgress)
    teardown.add(() => stopWithin(node))
    if (network === undefined) throw new Error('The node has no network')
    const signer = await loadIdentity(dataDir, { ...keyOptions, askPassphrase: async () => typed })
    const folder = openCredentials(dataDir)
    teardown.add(() => folder.close())
    const clock = systemClock
    const logger: Logger = {
      log(level, event, fields) {
        if (level === 'debug' && json) io.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
        if (level === 'warn' || level === 'error')
          io.stderr.write(`${printable(`${event} ${JSON.stringify(fields ?? {})}`)}\n`)
      }
    }
    const observations = createObservationLog({}, { store: folder.notes, clock })
    const registry = (): ReturnType<typeof folder.registry> => folder.registry(signer)
    const issuing = createIssuing(
      {
        minProbes: number(options, 'min-probes', 10, 1, 1_000_000),
        validForMs: number(options, 'valid-days', 30, 1, 366) * 86_400_000
      },
      {
        signer,
        observations,
        store: folder.notes,
        registry,
        allocate: (call) => folder.allocate(signer, call),
        record: (entry, call) => folder.record(entry, call),
        clock
      }
    )
    // The port may be any free one, and the handler has to know its own address.
    let answer: (request: Request) => Promise<Response> = async () => new Response(null, { status: 503 })
    const server = await serveApi({ fetch: (request) => answer(request) }, { port, host })
    teardown.add(() => server.close())
    const own = (url ?? (await folder.statusUrl()) ?? server.url).replace(/\/$/, '')
    await folder.setStatusUrl(own)
    const handler = createIssuerHandler(
      { issuer: signer.did, url: own },
      { issuing, registry, clock, random: systemRandom, logger }
    )
    answer = (request) => handler.fetch(request)
    const watcher = createWatcher(
      {
        probeIntervalMs: number(options, 'probe-interval', 60, 1, 86_400) * 1000,
        throughputIntervalMs: number(options, 'throughput-interval', 3_600, 0, 86_400) * 1000
      },
      { network, node, observations, clock, logger }
    )
    await watcher.start()
    teardown.add(() => watcher.stop())
    tell(
      { event: 'issuing', url: own, listening: server.url, ...node.status() },
      `Issuing as ${signer.did} at ${own}\nAsk it from a watched node: kwaai vc request ${own}\nCtrl-C ends it.`
    )
    await aborted(io.signal)
  } finally {
    await teardown.run()
  }
  return 0
}

import { defaultApiPort, joinNoteMs, stopTimeoutMs } from '../constants.ts'
import { createNode, type Node } from '../node.ts'
import type { Command } from './command.ts'
import { apiOptions, nodeComponents, nodeInit, nodeOptions } from './node-options.ts'
import { parseWhole } from './options.ts'
import { printable, type Io } from './terminal.ts'

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Stops within its time or not at all: a hung peer must not keep the process. */
export async function stopWithin(node: { stop(): Promise<void> }): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, stopTimeoutMs)
  })
  await Promise.race([node.stop().catch(() => undefined), late])
  clearTimeout(timer)
}

/** A wrong address to join looks like a network that is empty. */
function tellWhereNobodyAnswers(node: Node, io: Io): void {
  const timer = setTimeout(() => {
    if (node.status().peers.length > 0) return
    io.stderr.write('Nobody answers at the address to join yet; this node goes on trying.\n')
  }, joinNoteMs)
  io.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
}

/** `kwaai up` */
export const up: Command = {
  name: 'up',
  summary: 'Run a node: hold blocks of a model, serve them to others, and answer through the API',
  usage: '[options]',
  options: {
    ...nodeOptions,
    ...apiOptions,
    'no-api': { type: 'boolean', describe: 'Serve no API' },
    json: { type: 'boolean', describe: 'Print one JSON object a line for each event' }
  },
  maxPositionals: 0,
  async run(options, io) {
    const json = options.flag('json')
    const port = parseWhole('api-port', options.text('api-port') ?? String(defaultApiPort), 0, 65_535)
    const { components, endProgress } = nodeComponents(io)
    const node = await createNode(
      { ...nodeInit(options, io), api: options.flag('no-api') ? false : { port } },
      components,
      { signal: io.signal }
    ).finally(endProgress)
    try {
      const status = node.status()
      if (json) {
        io.stdout.write(`${JSON.stringify({ event: 'up', api: node.apiUrl ?? null, ...status })}\n`)
      } else {
        const spans =
          status.spans.map(([from, to]) => `blocks ${from} to ${to - 1}`).join(', ') || 'no blocks'
        io.stdout.write(`${printable(status.name)} is up with ${spans} of ${printable(status.model.id)}\n`)
        io.stdout.write(`Peer ${status.peerId}\n`)
        if (node.apiUrl !== undefined) io.stdout.write(`API  ${node.apiUrl}/v1\n`)
        for (const address of status.addresses) {
          io.stdout.write(`Join with: kwaai up --bootstrap ${address}\n`)
        }
        io.stdout.write('Ctrl-C ends it.\n')
      }
      if (options.list('bootstrap').length > 0) tellWhereNobodyAnswers(node, io)
      await aborted(io.signal)
    } finally {
      await stopWithin(node)
    }
    return 0
  }
}

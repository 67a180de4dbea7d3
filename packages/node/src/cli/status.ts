import { defaultApiPort, loopbackHost } from '../constants.ts'
import { nodeError } from '../errors.ts'
import type { NodeStatus } from '../status.ts'
import { health } from './api-client.ts'
import type { Command } from './command.ts'
import { parseWhole } from './options.ts'
import { jsonText, bytesText, printable } from './terminal.ts'

/** Peers, spans, memory and tokens served, for people. */
export function statusText(status: NodeStatus): string {
  const spans = status.spans.map(([from, to]) => `${from}-${to}`).join(', ') || 'none'
  const rows: [string, string][] = [
    ['Name', status.name],
    ['Peer', status.peerId],
    ['Addresses', status.addresses.join(' ') || 'none'],
    ['Model', `${status.model.id} (${status.model.blockCount} blocks)`],
    ['Blocks here', spans],
    ['Backend', status.backend ?? 'none'],
    ['Ready', status.ready ? 'yes' : 'no: no chain of servers covers the whole model'],
    ['Peers', String(status.peers.length)],
    [
      'Memory',
      `${bytesText(status.memory.residentBytes)}, of it weights ${bytesText(status.memory.weightBytes)} and caches ${bytesText(status.memory.kvBytes)}`
    ],
    ['Sessions', String(status.sessions)],
    ['Tokens served', String(status.tokensServed)]
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}\n`).join('')
}

/** `kwaai status` */
export const status: Command = {
  name: 'status',
  summary: 'Show what the node on this machine does',
  usage: '[options]',
  options: {
    'api-port': {
      type: 'string',
      value: '<port>',
      describe: `Port of the node's API, default ${defaultApiPort}`
    },
    json: { type: 'boolean', describe: 'Print one JSON object' }
  },
  maxPositionals: 0,
  async run(options, io) {
    const port = parseWhole('api-port', options.text('api-port') ?? String(defaultApiPort), 1, 65_535)
    const baseUrl = `http://${loopbackHost}:${port}`
    const found = await health(baseUrl, io.signal)
    if (found === undefined) {
      throw nodeError(
        'ERR_NODE_NOT_RUNNING',
        `Cannot reach a node at ${baseUrl}: none answers there. Start one with "kwaai up", or give its --api-port`
      )
    }
    io.stdout.write(options.flag('json') ? `${jsonText(found)}\n` : statusText(found))
    return 0
  }
}

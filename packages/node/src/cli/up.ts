import { defaultDrainTimeoutMs, joinNoteMs, stopTimeoutMs } from '../constants.ts'
import { createNode, type Node } from '../node.ts'
import type { Command } from './command.ts'
import { apiInit, apiOptions, nodeComponents, nodeInit, nodeOptions } from './node-options.ts'
import { parseWhole } from './options.ts'
import { givenPassphrase, passphraseOptions } from './passphrase.ts'
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

/** Lets what runs end or move, and says what it waits for. */
async function drain(node: Node, timeoutMs: number, tell: Tell): Promise<void> {
  const { sessions, answers } = node.pending()
  const idle = sessions + answers === 0
  if (!idle) {
    const what = [counted(sessions, 'session'), counted(answers, 'answer')].filter((text) => text !== '')
    tell(
      { event: 'draining', sessions, answers, timeoutMs },
      `Ending: waiting up to ${timeoutMs / 1000} s for ${what.join(' and ')}; asked once more, it ends at once.`
    )
  }
  // A failure to withdraw the advert keeps nobody from ending.
  await node.drain({ timeoutMs }).catch(() => undefined)
  if (idle) return
  const left = node.pending()
  const cut = left.sessions + left.answers
  tell(
    { event: 'drained', ...left },
    cut === 0 ? 'All of it has ended.' : `The time is over; ${cut} cut off.`
  )
}

function counted(count: number, what: string): string {
  return count === 0 ? '' : `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Prints an event: an object for programs, a line for people. */
type Tell = (event: Record<string, unknown>, line: string) => void

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
    ...passphraseOptions,
    ...apiOptions,
    'ask-for-grants': {
      type: 'boolean',
      describe: 'Open sessions at its blocks only for peers with a grant, which "kwaai grant create" makes'
    },
    'no-api': { type: 'boolean', describe: 'Serve no API' },
    'drain-timeout': {
      type: 'string',
      value: '<s>',
      describe: `Seconds that sessions and answers under way may go on at the end, default ${defaultDrainTimeoutMs / 1000}`
    },
    json: { type: 'boolean', describe: 'Print one JSON object a line for each event' }
  },
  maxPositionals: 0,
  events: true,
  async run(options, io) {
    const json = options.flag('json')
    const api = options.flag('no-api') ? false : apiInit(options)
    const drainTimeoutMs =
      1000 *
      parseWhole(
        'drain-timeout',
        options.text('drain-timeout') ?? String(defaultDrainTimeoutMs / 1000),
        0,
        3_600
      )
    const tell: Tell = (event, line) => {
      io.stdout.write(`${json ? JSON.stringify(event) : line}\n`)
    }
    const init = nodeInit(options, io)
    const passphrase = await givenPassphrase(options, io)
    // Processes that this one starts need not know it.
    delete io.env['KWAAI_PASSPHRASE']
    const { components, endProgress } = nodeComponents(io)
    const node = await createNode(
      {
        ...init,
        api,
        ...(options.flag('ask-for-grants') ? { askForGrants: true } : {}),
        ...(passphrase === undefined ? {} : { passphrase }),
        ...(options.flag('no-embeddings') ? { embeddings: false } : {})
      },
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
        if (node.apiUrl !== undefined) {
          io.stdout.write(`API  ${node.apiUrl}/v1${node.asksForKeys ? ' (asks for an API key)' : ''}\n`)
        }
        for (const address of status.addresses) {
          io.stdout.write(`Join with: kwaai up --bootstrap ${address}\n`)
        }
        io.stdout.write('Ctrl-C ends it.\n')
      }
      if (options.list('bootstrap').length > 0) tellWhereNobodyAnswers(node, io)
      await aborted(io.signal)
      await drain(node, drainTimeoutMs, tell)
    } finally {
      await stopWithin(node)
    }
    return 0
  }
}

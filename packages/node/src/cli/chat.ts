import { createInterface } from 'node:readline/promises'
import { KwaaiError, type ChatMessage } from '@kwaai/interface'
import { defaultApiPort, loopbackHost } from '../constants.ts'
import { nodeError } from '../errors.ts'
import { createNode } from '../node.ts'
import { ask, health, type Answer, type AskOptions, type Fetch } from './api-client.ts'
import type { Command } from './command.ts'
import { nodeComponents, nodeInit, nodeOptions } from './node-options.ts'
import { parseDecimal, parseWhole, type ParsedOptions } from './options.ts'
import { printable, type Io } from './terminal.ts'
import { stopWithin } from './up.ts'

const maxQuestionBytes = 1 << 20
/** Turns kept of a conversation; older ones are forgotten first. */
const maxTurns = 200

/** Who answers. */
interface Partner {
  fetch: Fetch
  baseUrl: string
  /** The name of the model it serves. */
  model: string
  close(): Promise<void>
}

/** The node that runs on this machine, or one started for this chat. */
async function findPartner(options: ParsedOptions, io: Io): Promise<Partner> {
  const port = parseWhole('api-port', options.text('api-port') ?? String(defaultApiPort), 1, 65_535)
  const baseUrl = `http://${loopbackHost}:${port}`
  // Whoever says what the node is to be does not mean the one that runs.
  const wantsOwn = Object.keys(nodeOptions).find((name) => options.given(name))
  if (wantsOwn !== undefined && options.text('api-port') !== undefined) {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot use --api-port with --${wantsOwn}: the one asks a running node, the other starts one`
    )
  }
  const running = wantsOwn !== undefined ? undefined : await health(baseUrl, io.signal)
  if (running !== undefined) {
    return {
      fetch: withKey(io.env['KWAAI_API_KEY']),
      baseUrl,
      model: running.model.id,
      close: async () => undefined
    }
  }
  if (options.text('api-port') !== undefined) {
    throw nodeError(
      'ERR_NODE_NOT_RUNNING',
      `Cannot reach a node at ${baseUrl}: none answers there. Leave --api-port out to run the model here`
    )
  }
  const joins = options.list('bootstrap').length > 0
  const { components, endProgress } = nodeComponents(io)
  // A guest of somebody's network brings no blocks unless asked; alone, this process holds the whole model.
  const { dataDir: _own, ...init } = nodeInit(options, io)
  const node = await createNode(
    { ...init, ...(init.blocks === undefined && joins ? { blocks: 'none' as const } : {}), api: false },
    components,
    { signal: io.signal }
  ).finally(endProgress)
  try {
    await node.whenReady({ signal: io.signal })
  } catch (error) {
    await stopWithin(node)
    throw error
  }
  return {
    fetch: (request) => node.fetch(request),
    baseUrl: `http://${loopbackHost}`,
    model: node.status().model.id,
    close: () => stopWithin(node)
  }
}

/** A key comes from the environment: a command line is there for everybody on the machine to read. */
function withKey(key: string | undefined): Fetch {
  if (key === undefined || key === '') return fetch
  return (request) => {
    request.headers.set('authorization', `Bearer ${key}`)
    return fetch(request)
  }
}

async function readAll(io: Io): Promise<string> {
  let text = ''
  io.stdin.setEncoding('utf8')
  for await (const chunk of io.stdin) {
    text += String(chunk)
    if (text.length > maxQuestionBytes) {
      throw nodeError('ERR_NODE_INVALID_OPTION', 'Cannot read the question: it is longer than a mebibyte')
    }
  }
  return text.trim()
}

/** `kwaai chat` */
export const chat: Command = {
  name: 'chat',
  summary: 'Talk to the model: of the node on this machine, or of one started for the chat',
  usage: '[question] [options]',
  options: {
    system: {
      type: 'string',
      value: '<text>',
      describe: 'Instructions the model gets before the conversation'
    },
    'max-tokens': { type: 'string', value: '<n>', describe: 'Tokens of an answer at most' },
    temperature: { type: 'string', value: '<t>', describe: '0 always takes the likeliest token. Default 0' },
    seed: { type: 'string', value: '<n>', describe: 'Makes sampling repeatable' },
    'api-port': {
      type: 'string',
      value: '<port>',
      describe: `Port of a running node, default ${defaultApiPort}`
    },
    json: { type: 'boolean', describe: 'Print one JSON object an answer' },
    ...nodeOptions
  },
  maxPositionals: 1,
  events: true,
  async run(options, io) {
    const json = options.flag('json')
    const maxTokens = options.text('max-tokens')
    const seed = options.text('seed')
    const askOptions: Omit<AskOptions, 'model'> = {
      signal: io.signal,
      temperature: parseDecimal('temperature', options.text('temperature') ?? '0', 0, 2),
      ...(maxTokens === undefined ? {} : { maxTokens: parseWhole('max-tokens', maxTokens, 1, 1_000_000) }),
      ...(seed === undefined ? {} : { seed: parseWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER) })
    }
    const system = options.text('system')
    const messages: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }]
    const fixed = messages.length
    const interactive = options.positionals.length === 0 && io.stdin.isTTY === true
    const question = interactive ? '' : (options.positionals[0] ?? (await readAll(io)))
    if (!interactive && question === '') {
      throw nodeError('ERR_NODE_INVALID_OPTION', 'Cannot ask: the question is empty. Give it as an argument')
    }
    const partner = await findPartner(options, io)
    const asking = { ...askOptions, model: partner.model }

    const answerTo = async (signal: AbortSignal): Promise<Answer> => {
      for (;;) {
        try {
          return await ask(partner.fetch, partner.baseUrl, messages, { ...asking, signal }, (text) => {
            if (!json) io.stdout.write(printable(text))
          })
        } catch (error) {
          // A conversation outgrows the model's context; its oldest turns are forgotten then.
          if (!tooLong(error) || messages.length < fixed + 3) throw error
          messages.splice(fixed, 2)
        }
      }
    }

    async function turn(content: string, signal: AbortSignal): Promise<void> {
      messages.push({ role: 'user', content })
      try {
        const answer = await answerTo(signal)
        io.stdout.write(json ? `${JSON.stringify(answer)}\n` : '\n')
        messages.push({ role: 'assistant', content: answer.text })
        if (messages.length > fixed + 2 * maxTurns) messages.splice(fixed, 2)
      } catch (error) {
        messages.pop()
        throw error
      }
    }

    try {
      if (interactive) await converse(io, turn)
      else await turn(question, io.signal)
    } finally {
      await partner.close()
    }
    return 0
  }
}

function tooLong(error: unknown): boolean {
  return KwaaiError.is(error) && error.details['code'] === 'context_length_exceeded'
}

/** Question and answer until the input ends. A refused question does not end the conversation. */
async function converse(
  io: Io,
  turn: (content: string, signal: AbortSignal) => Promise<unknown>
): Promise<void> {
  const lines = createInterface({ input: io.stdin, output: io.stdout })
  let answering: AbortController | undefined
  // While lines are read Ctrl-C is a key and no signal: it stops the answer, or else the conversation.
  lines.on('SIGINT', () => (answering === undefined ? lines.close() : answering.abort()))
  const closed = new Promise<void>((resolve) => {
    lines.once('close', () => {
      answering?.abort()
      resolve()
    })
  })
  io.stdout.write('Ask away; Ctrl-C stops an answer; an empty line or Ctrl-D ends the conversation.\n')
  try {
    for (;;) {
      const asked = lines.question('> ', { signal: io.signal }).catch(() => undefined)
      const line = await Promise.race([asked, closed])
      if (line === undefined || line.trim() === '') return
      answering = new AbortController()
      try {
        await turn(line, AbortSignal.any([answering.signal, io.signal]))
      } catch (error) {
        io.signal.throwIfAborted()
        if (answering.signal.aborted) io.stdout.write('\n')
        else io.stderr.write(`kwaai: ${printable(error instanceof Error ? error.message : String(error))}\n`)
      } finally {
        answering = undefined
      }
    }
  } finally {
    lines.close()
  }
}

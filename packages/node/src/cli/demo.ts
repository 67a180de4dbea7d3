import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  defaultApiPort,
  demoMaxTokens,
  demoNodeCount,
  demoQuestion,
  demoReadyTimeoutMs,
  loopbackHost
} from '../constants.ts'
import { folderUnusable, nodeError } from '../errors.ts'
import { createNode, type Node } from '../node.ts'
import { ensureModel } from '../model-store.ts'
import { ask, type Answer } from './api-client.ts'
import type { Command } from './command.ts'
import { nodeComponents, nodeInit, nodeOptions } from './node-options.ts'
import { parseWhole, type ParsedOptions } from './options.ts'
import { startServer, stopServer, type Server } from './servers.ts'
import { printable, type Io } from './terminal.ts'
import { aborted, stopWithin } from './up.ts'
import { splitBlocks } from '../split-blocks.ts'
import { readShape } from '../model-shape.ts'

const { model: modelOption, backend, threads } = nodeOptions

/** `kwaai demo`, which `npm start` runs. */
export const demo: Command = {
  name: 'demo',
  summary: 'Start three nodes that hold a third of a model each, and let them answer a question together',
  usage: '[question] [options]',
  options: {
    ...(modelOption === undefined || backend === undefined || threads === undefined
      ? {}
      : { model: modelOption, backend, threads }),
    'api-port': {
      type: 'string',
      value: '<port>',
      describe: `Port of the OpenAI-compatible API on loopback, default ${defaultApiPort}, or a free one if it is taken`
    },
    'max-tokens': {
      type: 'string',
      value: '<n>',
      describe: `Tokens of the answer at most, default ${demoMaxTokens}`
    },
    'no-embeddings': { type: 'boolean', describe: 'Serve no embedding model' },
    serve: { type: 'boolean', describe: 'Go on serving after the answer, terminal or not' },
    json: { type: 'boolean', describe: 'End after the answer and print one JSON object as the last line' }
  },
  maxPositionals: 1,
  events: true,
  async run(options, io) {
    const limits = limitsOf(options)
    const folder = await mkdtemp(join(tmpdir(), 'kwaai-demo-')).catch((error: unknown) => {
      throw folderUnusable("keep the nodes' keys", 'Set TMPDIR to a folder that can be written', error)
    })
    const servers: Server[] = []
    let client: Node | undefined
    try {
      const setting = await prepare(options, io)
      await startServers(setting, folder, servers, io)
      client = await startClient(setting, servers, limits.port, options, io)
      const answer = await answerQuestion(setting, client, limits.maxTokens, options, io)
      const serve = options.flag('serve') || (io.stdout.isTTY === true && !setting.json)
      if (!setting.json && serve) await tellHowToUse(client, io)
      if (setting.json) io.stdout.write(`${JSON.stringify(resultOf(setting, servers, answer))}\n`)
      if (serve) await aborted(io.signal)
      return 0
    } finally {
      if (client !== undefined) await stopWithin(client)
      await Promise.all(servers.map(stopServer))
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/** Read before anything starts, so that a slip of the pen costs nothing. */
function limitsOf(options: ParsedOptions): { port: number | undefined; maxTokens: number } {
  const port = options.text('api-port')
  return {
    port: port === undefined ? undefined : parseWhole('api-port', port, 0, 65_535),
    maxTokens: parseWhole('max-tokens', options.text('max-tokens') ?? String(demoMaxTokens), 1, 1_000_000)
  }
}

interface Setting {
  json: boolean
  model: { id: string; path: string }
  spans: readonly (readonly [from: number, to: number])[]
  pass: readonly string[]
  say: (line: string) => void
}

/** The model on this machine, and who is to hold what. */
async function prepare(options: ParsedOptions, io: Io): Promise<Setting> {
  const say = (line: string): void => {
    io.stdout.write(`${line}\n`)
  }
  const { components, endProgress } = nodeComponents(io)
  const wanted = options.text('model')
  const model = await ensureModel({
    ...(wanted === undefined ? {} : { model: wanted }),
    env: io.env,
    signal: io.signal,
    ...(components.onProgress === undefined ? {} : { onProgress: components.onProgress }),
    ...(components.onNote === undefined ? {} : { onNote: components.onNote })
  }).finally(endProgress)
  const shape = await readShape(model.path, { signal: io.signal })
  say(`Model ${printable(model.id)}: ${shape.blockCount} blocks, ${model.path}`)
  const pass = (['backend', 'threads'] as const).flatMap((name) => {
    const value = options.text(name)
    return value === undefined ? [] : [`--${name}`, value]
  })
  return {
    json: options.flag('json'),
    model,
    spans: splitBlocks(shape.blockCount, Math.min(demoNodeCount, shape.blockCount)),
    pass,
    say
  }
}

async function startServers(setting: Setting, folder: string, servers: Server[], io: Io): Promise<void> {
  setting.say(`Starting ${setting.spans.length} nodes, each a process of its own …`)
  for (const [index, [from, to]] of setting.spans.entries()) {
    const name = `node-${index + 1}`
    const first = servers[0]?.status.addresses[0]
    const args = ['--name', name, '--data-dir', join(folder, name), '--blocks', `${from}-${to}`, '--no-api']
    args.push('--model', setting.model.path, ...setting.pass)
    if (first !== undefined) args.push('--bootstrap', first)
    const server = await startServer(args, { env: io.env, signal: io.signal })
    servers.push(server)
    server.child.once('exit', () => {
      if (!server.ending && !io.signal.aborted) io.stderr.write(`${name} has ended by itself\n`)
    })
    setting.say(
      `  ${name}  blocks ${from} to ${to - 1}  ${server.status.peerId}  process ${server.child.pid}`
    )
  }
}

/** The node that asks: it holds the two ends of the model and none of its blocks. */
async function startClient(
  setting: Setting,
  servers: readonly Server[],
  asked: number | undefined,
  options: ParsedOptions,
  io: Io
): Promise<Node> {
  const { components } = nodeComponents(io)
  const { dataDir: _none, ...init } = nodeInit(options, io)
  const start = (port: number): Promise<Node> =>
    createNode(
      {
        ...init,
        name: 'client',
        model: setting.model.path,
        blocks: 'none',
        bootstrap: servers[0]?.status.addresses.slice(0, 1) ?? [],
        api: { port },
        ...(options.flag('no-embeddings') ? { embeddings: false } : {})
      },
      components,
      { signal: io.signal }
    )
  let client: Node
  try {
    client = await start(asked ?? defaultApiPort)
  } catch (error) {
    // The default port is a wish; a port that was asked for is not.
    if (
      asked !== undefined ||
      !(error instanceof Error && 'code' in error && error.code === 'ERR_API_PORT_IN_USE')
    ) {
      throw error
    }
    client = await start(0)
  }
  try {
    const late = AbortSignal.timeout(demoReadyTimeoutMs)
    await client.whenReady({ signal: AbortSignal.any([io.signal, late]) }).catch((error: unknown) => {
      if (!late.aborted) throw error
      throw nodeError(
        'ERR_NODE_CHILD_FAILED',
        `Cannot find a chain within ${demoReadyTimeoutMs / 1000} s: ${client.explain()}`
      )
    })
  } catch (error) {
    await stopWithin(client)
    throw error
  }
  return client
}

async function answerQuestion(
  setting: Setting,
  client: Node,
  maxTokens: number,
  options: ParsedOptions,
  io: Io
): Promise<Answer> {
  const question = options.positionals[0] ?? demoQuestion
  setting.say(`\n> ${printable(question)}\n`)
  const answer = await ask(
    (request) => client.fetch(request),
    `http://${loopbackHost}`,
    [{ role: 'user', content: question }],
    {
      signal: io.signal,
      model: client.status().model.id,
      temperature: 0,
      maxTokens
    },
    (text) => io.stdout.write(printable(text))
  )
  setting.say('\n')
  for (const hop of client.lastChain()) {
    setting.say(
      `  blocks ${String(hop.from).padStart(2)} to ${String(hop.to - 1).padStart(2)}  by ${hop.peer}  (${printable(hop.numericsClass)})`
    )
  }
  setting.say(
    `  ${answer.promptTokens} + ${answer.completionTokens} tokens, first after ${answer.ttftMs.toFixed(0)} ms, ` +
      `then ${answer.tokensPerSecond.toFixed(1)} tokens a second`
  )
  return answer
}

async function tellHowToUse(client: Node, io: Io): Promise<void> {
  const embedder = await client.embedder?.describe()
  io.stdout.write(
    `\nThe OpenAI-compatible API is at ${client.apiUrl}/v1\n` +
      `Try: curl -N ${client.apiUrl}/v1/chat/completions -H 'content-type: application/json' ` +
      `-d '{"model":"${client.status().model.id}","stream":true,"messages":[{"role":"user","content":"Why is the sky blue?"}]}'\n` +
      (embedder === undefined
        ? ''
        : `Or:  curl ${client.apiUrl}/v1/embeddings -H 'content-type: application/json' ` +
          `-d '{"model":"${embedder.id}","input":"A cat on a mat"}'\n`) +
      'Ctrl-C ends it.\n'
  )
}

function resultOf(setting: Setting, servers: readonly Server[], answer: Answer): Record<string, unknown> {
  return {
    nodes: servers.length,
    spans: servers.flatMap(({ status }) => status.spans),
    model: setting.model.id,
    ttftMs: Math.round(answer.ttftMs * 10) / 10,
    tokensPerSecond: Math.round(answer.tokensPerSecond * 10) / 10,
    text: answer.text,
    finishReason: answer.finishReason
  }
}

import { join, resolve } from 'node:path'
import { defaultApiPort, loopbackHost } from '../constants.ts'
import { defaultDataDir } from '../data-dir.ts'
import { nodeError } from '../errors.ts'
import type { NodeComponents, NodeInit } from '../node.ts'
import type { NodeApiInit } from '../node-api.ts'
import { parseBlocks, parseBytes, parseWhole, type OptionSpec, type ParsedOptions } from './options.ts'
import { askPassphrase } from './passphrase.ts'
import { printable, progressReporter, type Io } from './terminal.ts'

/** Options that say what a node runs. */
export const nodeOptions: Record<string, OptionSpec> = {
  model: {
    type: 'string',
    value: '<model>',
    describe: 'A known name, a path to a GGUF file, or its address'
  },
  blocks: {
    type: 'string',
    value: '<from-to>',
    describe: 'Half-open range of blocks to hold, such as 0-10, or none; all when left out'
  },
  name: {
    type: 'string',
    value: '<name>',
    describe: 'Name of this node; each has its own key. Default: default'
  },
  listen: {
    type: 'string',
    value: '<multiaddr>',
    multiple: true,
    describe: 'Address to listen on, default a free port on loopback'
  },
  announce: {
    type: 'string',
    value: '<multiaddr>',
    multiple: true,
    describe: 'Address to tell others instead of those listened on, such as that of a forwarded port'
  },
  bootstrap: {
    type: 'string',
    value: '<multiaddr>',
    multiple: true,
    describe: 'Address of a node of the network to join'
  },
  region: {
    type: 'string',
    value: '<region>',
    describe: 'Where the blocks are served from, for requests that ask for a region, such as eu'
  },
  'data-dir': { type: 'string', value: '<folder>', describe: 'Where nodes keep their keys' },
  'max-memory': {
    type: 'string',
    value: '<size>',
    describe: 'Weights and caches together at most, such as 2GiB'
  },
  backend: { type: 'string', value: '<name>', describe: 'ggml (default), or reference: slow and readable' },
  threads: { type: 'string', value: '<n>', describe: 'Threads that compute, default 1' }
}

/** Options that say where the API listens, and for whom. */
export const apiOptions: Record<string, OptionSpec> = {
  'api-port': {
    type: 'string',
    value: '<port>',
    describe: `Port of the OpenAI-compatible API, default ${defaultApiPort}, 0 for any free one`
  },
  'api-host': {
    type: 'string',
    value: '<address>',
    describe: `Address it listens on, default ${loopbackHost}; others may use any other one with an API key`
  },
  'api-keys': {
    type: 'boolean',
    describe: 'Ask every request for an API key; without this option once "kwaai keys" has made one'
  },
  'allow-host': {
    type: 'string',
    value: '<name>',
    multiple: true,
    describe: 'Host name it answers to besides those of this machine, such as that of a proxy'
  },
  'allow-origin': {
    type: 'string',
    value: '<origin>',
    multiple: true,
    describe: 'Origin whose pages may call it, such as https://chat.example'
  },
  'no-embeddings': { type: 'boolean', describe: 'Serve no embedding model' }
}

/** Options that say which node's data folder is meant. */
export const dataDirOptions: Record<string, OptionSpec> = Object.fromEntries(
  Object.entries(nodeOptions).filter(([name]) => name === 'name' || name === 'data-dir')
)

/** The API's part of a node's init. */
export function apiInit(options: ParsedOptions): NodeApiInit {
  const host = options.text('api-host')
  const hosts = options.list('allow-host')
  for (const origin of options.list('allow-origin')) {
    if (origin !== '*' && !(URL.canParse(origin) && new URL(origin).origin === origin)) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot use --allow-origin ${printable(origin)}: expected an origin such as https://chat.example`
      )
    }
  }
  return {
    port: parseWhole('api-port', options.text('api-port') ?? String(defaultApiPort), 0, 65_535),
    allowedOrigins: options.list('allow-origin'),
    ...(host === undefined ? {} : { host }),
    ...(options.flag('api-keys') ? { keys: true } : {}),
    ...(hosts.length === 0 ? {} : { allowedHosts: hosts })
  }
}

/** The data folder of the node a command line means. */
export function dataDirOf(options: ParsedOptions, io: Io): string {
  const name = nameOf(options)
  const dataDir = options.text('data-dir')
  // A folder given by name is the node's own; the default one holds a folder for each name.
  return dataDir === undefined ? join(defaultDataDir(io.env), 'nodes', name) : resolve(dataDir)
}

function nameOf(options: ParsedOptions): string {
  const name = options.text('name') ?? 'default'
  if (/^[\w.-]{1,64}$/.test(name) && !name.startsWith('.')) return name
  throw nodeError(
    'ERR_NODE_INVALID_OPTION',
    `Cannot use --name ${printable(name)}: expected up to 64 letters, digits, ".", "_" and "-"`
  )
}

/** A node's init from a command line. */
export function nodeInit(options: ParsedOptions, io: Io): NodeInit {
  const name = nameOf(options)
  const backend = options.text('backend') ?? 'ggml'
  if (backend !== 'ggml' && backend !== 'reference') {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot use --backend ${printable(backend)}: expected ggml or reference`
    )
  }
  const model = options.text('model')
  const blocks = options.text('blocks')
  const maxMemory = options.text('max-memory')
  const threads = options.text('threads')
  const region = options.text('region')
  return {
    name,
    backend,
    dataDir: dataDirOf(options, io),
    listen: options.list('listen'),
    announce: options.list('announce'),
    bootstrap: options.list('bootstrap'),
    ...(region === undefined ? {} : { region }),
    ...(model === undefined ? {} : { model }),
    ...(blocks === undefined ? {} : { blocks: parseBlocks(blocks) }),
    ...(maxMemory === undefined ? {} : { maxMemoryBytes: parseBytes('max-memory', maxMemory) }),
    ...(threads === undefined ? {} : { threads: parseWhole('threads', threads, 1, 256) })
  }
}

/** What a node started from a command line tells on the terminal. */
export function nodeComponents(io: Io): { components: NodeComponents; endProgress: () => void } {
  const progress = progressReporter(io)
  return {
    components: {
      env: io.env,
      logger: {
        log(level, event, fields) {
          // Who asked was told itself that nobody can serve now.
          if (level !== 'error' || fields?.['code'] === 'ERR_MODEL_UNAVAILABLE') return
          progress.end()
          io.stderr.write(`${printable(`${event} ${JSON.stringify(fields ?? {})}`)}\n`)
        }
      },
      onProgress: progress.onProgress,
      askPassphrase: (question) => askPassphrase(io, question),
      onNote: (text) => {
        progress.end()
        io.stderr.write(`${printable(text)}\n`)
      }
    },
    endProgress: progress.end
  }
}

import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createApi, createApiKeys, type Api, type ApiKeys, type ModelFacts } from '@kwaai/api'
import { serveApi } from '@kwaai/api/node'
import type { Clock, Embedder, KeyValueStore, LanguageModel, Logger, Random, Signer } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import { answerScopes, keyScopes, openAudit, openSealedFile } from './audit.ts'
import { loopbackHost } from './constants.ts'
import { keepSecret } from './data-dir.ts'
import { nodeError } from './errors.ts'
import type { NodeStatus } from './status.ts'

/** Where the API listens, and who may use it. */
export interface NodeApiInit {
  /** 0 for any free one. */
  port: number
  /** Address to listen on. Default `127.0.0.1`; any that others reach asks for keys. */
  host?: string
  /** Every request needs an API key. Default: once the data folder has had one, so that losing or revoking keys opens nothing. */
  keys?: boolean
  /** Host names, without port, that the server answers to besides the loopback names. Default: `host`, or any where it listens on all addresses. */
  allowedHosts?: readonly string[]
  /** Origins (`https://chat.example`) whose pages may call and read the answers. Default: none. */
  allowedOrigins?: readonly string[]
}

/** What {@link createNodeApi} works with. */
export interface NodeApiComponents {
  model: LanguageModel
  embedder: Embedder | undefined
  status: () => NodeStatus
  /** Signs who computed each answer. */
  signer: Signer
  /** What the node knows of the models it serves. */
  facts: (model: string) => ModelFacts | undefined
  clock: Clock
  random: Random
  logger: Logger | undefined
  /** Gives things back at the end, the latest first. */
  undo: (step: () => Promise<unknown>) => void
}

/** A node's API. */
export interface NodeApi {
  api: Api
  /** Where it listens, if it does. */
  url: string | undefined
  /** True where every request needs a key. */
  asksForKeys: boolean
}

const everywhere: ReadonlySet<string> = new Set(['0.0.0.0', '::', '[::]'])

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** The API keys of a data folder. */
export interface KeyFolder {
  keys: ApiKeys
  /** The file they are in. */
  path: string | undefined
  /** True once there was a key, whatever became of it. */
  used(): Promise<boolean>
  /** Seals what an older version kept in the clear. */
  takeOver(): Promise<void>
  close(): Promise<void>
}

/** Opens the keys kept in a data folder. A node that runs there sees at once what is changed. */
export function openKeys(
  dataDir: string | undefined,
  { clock, random }: { clock: Clock; random: Random }
): KeyFolder {
  const file = dataDir === undefined ? undefined : openSealedFile(dataDir, 'api-keys.log', keyScopes)
  const path = file?.path
  return {
    keys: createApiKeys({}, { store: file ?? createMemoryStore(), clock, random }),
    path,
    used: async () =>
      path !== undefined &&
      (await stat(path).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== 'ENOENT'
      )),
    takeOver: async () => file?.takeOver(),
    close: async () => file?.[Symbol.asyncDispose]()
  }
}

/**
 * Puts the API over the node's models, with what its data folder keeps: keys, answers, and who computed them.
 *
 * @throws A KwaaiError `ERR_NODE_INVALID_OPTION` where it would listen for others without keys, and the codes of
 * `@kwaai/api`.
 */
export async function createNodeApi(
  init: { api: false | NodeApiInit; dataDir: string | undefined },
  components: NodeApiComponents
): Promise<NodeApi> {
  const { api: wanted, dataDir } = init
  const { model, embedder, status, signer, facts, clock, random, logger, undo } = components
  const { keys, used, takeOver, close } = openKeys(dataDir, { clock, random })
  undo(close)
  await takeOver()
  const store = await openAnswers(dataDir, undo)
  if (dataDir !== undefined) await signAudit(dataDir, components)
  const asksForKeys = wanted !== false && (wanted.keys ?? (await used()))
  // A file of keys that cannot be read is told now and not to each who asks.
  if (asksForKeys) await keys.list()
  const host = wanted === false ? loopbackHost : (wanted.host ?? loopbackHost)
  if (!isLoopback(host) && !asksForKeys) {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot serve the API at ${host} without keys: whoever reaches this machine could use it. ` +
        'Make one with "kwaai keys create <name>", then start again'
    )
  }
  const api = createApi(
    {
      health: status,
      provenance: { model: facts },
      allowedHosts: (wanted !== false && wanted.allowedHosts) || hostsOf(host),
      allowedOrigins: (wanted !== false && wanted.allowedOrigins) || [],
      ...(wanted === false || dataDir === undefined || asksForKeys ? {} : { token: await tokenOf(dataDir) })
    },
    {
      models: [model],
      embedders: embedder === undefined ? [] : [embedder],
      store,
      signer,
      clock,
      random,
      ...(asksForKeys ? { keys } : {}),
      ...(logger === undefined ? {} : { logger })
    }
  )
  if (wanted === false) return { api, url: undefined, asksForKeys }
  const server = await serveApi(api, { port: wanted.port, host })
  undo(() => server.close())
  return { api, url: server.url.replace(/\/$/, ''), asksForKeys }
}

/** What others may call this machine: with keys a name that was pointed at it opens nothing. */
function hostsOf(host: string): readonly string[] {
  if (isLoopback(host)) return []
  return everywhere.has(host) ? ['*'] : [host]
}

/** Signs what commands have appended to the audit log, now and when the node ends. */
async function signAudit(dataDir: string, { signer, clock, random, undo }: NodeApiComponents): Promise<void> {
  const audit = openAudit(dataDir, { signer, clock, random })
  undo(async () => audit[Symbol.asyncDispose]())
  if ((await audit.log.size()) > 0) await audit.log.checkpoint()
}

/** Each caller's answers are encrypted under that caller's key, and forgotten with it. */
async function openAnswers(
  dataDir: string | undefined,
  undo: NodeApiComponents['undo']
): Promise<KeyValueStore> {
  if (dataDir === undefined) return createMemoryStore()
  const file = openSealedFile(dataDir, 'answers.log', answerScopes)
  undo(async () => file[Symbol.asyncDispose]())
  await file.takeOver()
  return file
}

/** What a request without keys has to show to delete an answer: readable by the user alone. */
async function tokenOf(dataDir: string): Promise<string> {
  const made = new TextEncoder().encode(randomBytes(32).toString('base64url'))
  return new TextDecoder().decode(await keepSecret(join(dataDir, 'api-token'), made)).trim()
}

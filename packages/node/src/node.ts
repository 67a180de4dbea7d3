import { createDht } from '@kwaai/dht'
import { createIdentity } from '@kwaai/identity'
import {
  deadlineSignal,
  type CallOptions,
  type ChainHop,
  type Clock,
  type Embedder,
  type HeadRunner,
  type LanguageModel,
  type Logger,
  type Network,
  type PeerId,
  type Random
} from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { createNetwork } from '@kwaai/network'
import type { BlockPipelineSource } from '@kwaai/shard/generate'
import { defaultDrainTimeoutMs } from './constants.ts'
import { claimDataDir } from './data-dir.ts'
import { embedderFacts, embedderFor } from './embedding.ts'
import { nodeError } from './errors.ts'
import { createNodeGrants } from './grants/node-grants.ts'
import { loadModel, type BackendName } from './loaded-model.ts'
import { createServing } from './serving.ts'
import { openModel, type ModelStoreInit } from './model-store.ts'
import type { NodeApi, NodeApiInit } from './node-api.ts'
import { loadIdentity } from './node-key.ts'
import { createTeardown } from './teardown.ts'
import type { NodeStatus } from './status.ts'
import { version } from './version.ts'

/** What a node is to be. */
export interface NodeInit {
  /** Shown to people. Default `default`. */
  name?: string
  /** A known name, a path to a GGUF file or its address. Default: the default model. */
  model?: string
  /** The blocks to hold: a half-open range, all (default) or none. */
  blocks?: 'all' | 'none' | readonly [from: number, to: number]
  /** Multiaddrs to listen on. Default: a free TCP port on loopback. */
  listen?: readonly string[]
  /** Multiaddrs to tell others instead of those listened on, for a node behind a forwarded port. */
  announce?: readonly string[]
  /** Multiaddrs of nodes to join. */
  bootstrap?: readonly string[]
  /**
   * The region its blocks are served from, as its advert tells it and requests may ask for: up to 32 lower-case letters,
   * digits and `-`, such as `eu`. Default: none is told.
   */
  region?: string
  /** How residuals travel: from server to server (`push`, default), or by way of the client (`star`). */
  topology?: 'push' | 'star'
  /** Milliseconds of a round trip above which a server gets no part of the model, only a whole one. Default 150. */
  maxSplitRttMs?: number
  /**
   * Milliseconds a step of an answer may take, what replaces a lost server included, before the answer fails; each
   * row under way adds 100. Default 30,000.
   */
  stepTimeoutMs?: number
  /** Folder of the node's key. Without one the node has a new identity at each start. */
  dataDir?: string
  /** The passphrase of the key in that folder; a key kept without one is encrypted with it. Default: none. */
  passphrase?: string
  /** Weights and caches together at most, in bytes. */
  maxMemoryBytes?: number
  /** `ggml` (default): llama.cpp's kernels. `reference`: slow and readable. */
  backend?: BackendName
  /** Threads that compute. Default 1. */
  threads?: number
  /** Open sessions at its blocks only for peers that show a grant of the node, or of its controller. Default false. */
  askForGrants?: boolean
  /** Where the OpenAI-compatible API listens, and for whom; `false` (default) for nowhere. */
  api?: false | NodeApiInit
  /** Serve the default embedding model too, fetched when it is first asked. Default true where `onnxruntime-node` is installed. */
  embeddings?: boolean
}

/** What a node is made with. */
export interface NodeComponents {
  clock?: Clock
  random?: Random
  logger?: Logger
  env?: ModelStoreInit['env']
  onProgress?: ModelStoreInit['onProgress']
  /** One plain sentence for people: a source was passed over, another process downloads. */
  onNote?: (text: string) => void
  /** Asks for the passphrase of an encrypted key where none was given; `undefined` where there is nobody to ask. */
  askPassphrase?: (question: string) => Promise<string | undefined>
  /** Puts something between the node and its network, such as faults or a count of what travels. */
  decorateNetwork?: (network: Network) => Network
}

/** A running node. */
export interface Node extends AsyncDisposable {
  readonly peerId: PeerId
  /** Addresses another machine can dial. */
  addresses(): string[]
  /** The model, by way of the chain that serves it. */
  readonly model: LanguageModel
  /** The embedding model, loaded at its first use. */
  readonly embedder: Embedder | undefined
  /** The blocks of the model as a pipeline, for those who bring their own generation. */
  readonly blocks: BlockPipelineSource
  /** Embedding, final norm and head of the model, loaded at the first call. */
  head(options?: CallOptions): Promise<HeadRunner>
  /** Where the API listens, if it does. */
  readonly apiUrl: string | undefined
  /** True where every request to the API needs a key. */
  readonly asksForKeys: boolean
  /** The API without a server. */
  fetch(request: Request): Promise<Response>
  status(): NodeStatus
  /** Resolves once a chain can serve the model. */
  whenReady(options?: CallOptions): Promise<void>
  /** Why no chain can serve, in one sentence. */
  explain(): string
  /** Who computed the latest answer. */
  lastChain(): readonly ChainHop[]
  /** What runs now and would be cut off by {@link Node.stop}: sessions of others, and answers of the own model. */
  pending(): { sessions: number; answers: number }
  /**
   * Takes no new work and lets what runs end or move to other servers. Resolves when nothing runs any more or
   * `timeoutMs` (default 20,000) are over; `stop` comes next.
   */
  drain(options?: CallOptions & { timeoutMs?: number }): Promise<void>
  /** Stops serving and gives everything back. */
  stop(): Promise<void>
}

const readyPollMs = 100

/**
 * Starts a node: its identity, its place in the network, its blocks of the model, and its API.
 *
 * @throws A KwaaiError that says what could not be started and what to do: this package's codes, and those of
 * the rooms it puts together. Whatever was started before the failure is stopped.
 */
export async function createNode(
  init: NodeInit = {},
  components: NodeComponents = {},
  options: CallOptions = {}
): Promise<Node> {
  const clock = components.clock ?? systemClock
  const random = components.random ?? systemRandom
  const teardown = createTeardown()
  if (init.region !== undefined && !/^[a-z0-9][a-z0-9-]{0,31}$/.test(init.region)) {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot use the region ${JSON.stringify(init.region)}: expected up to 32 lower-case letters, digits and "-", such as eu`
    )
  }
  try {
    if (init.dataDir !== undefined) teardown.add(await claimDataDir(init.dataDir))
    const identity =
      init.dataDir === undefined
        ? createIdentity()
        : await loadIdentity(init.dataDir, { ...components, ...init, ...options })

    const opened = await openModel(
      {
        clock,
        ...(init.model === undefined ? {} : { model: init.model }),
        ...(components.env === undefined ? {} : { env: components.env }),
        ...(components.onProgress === undefined ? {} : { onProgress: components.onProgress }),
        ...(components.onNote === undefined ? {} : { onNote: components.onNote }),
        ...options
      },
      init.blocks !== undefined && init.blocks !== 'all'
    )
    if (opened.source.close !== undefined) teardown.add(() => opened.source.close?.())
    const loaded = await loadModel(opened, init, options)
    teardown.add(() => loaded.dispose())

    const { decorateNetwork = (plain: Network) => plain } = components
    const network = decorateNetwork(
      createNetwork(
        {
          privateKey: identity.exportSeed(),
          ...(init.listen?.length ? { listen: [...init.listen] } : {}),
          announce: [...(init.announce ?? [])],
          bootstrap: [...(init.bootstrap ?? [])]
        },
        { clock, random }
      )
    )
    await network.start(options)
    teardown.add(() => network.stop())

    const records = createDht({}, { network, identity, clock, random })
    await records.start(options)
    teardown.add(() => records.stop())

    const { onNote } = components
    const grants = await createNodeGrants(init, {
      identity,
      clock,
      random,
      undo: teardown.add,
      ...(onNote === undefined ? {} : { onNote })
    })
    const serving = await createServing(
      {
        opened,
        loaded,
        network,
        records,
        clock,
        random,
        ...(components.logger ? { logger: components.logger } : {}),
        ...(init.region === undefined ? {} : { region: init.region }),
        ...(grants.authorizer === undefined ? {} : { authorizer: grants.authorizer }),
        chains: {
          authorization: grants.capabilities,
          ...(init.topology === undefined ? {} : { topology: init.topology }),
          ...(init.maxSplitRttMs === undefined ? {} : { maxSplitRttMs: init.maxSplitRttMs }),
          ...(init.stepTimeoutMs === undefined ? {} : { stepTimeoutMs: init.stepTimeoutMs })
        }
      },
      options
    )
    teardown.add(() => serving.stop())

    const startedAt = clock.monotonic()
    const status = (): NodeStatus => ({
      status: 'ok',
      name: init.name ?? 'default',
      version,
      peerId: identity.peerId,
      did: identity.did,
      addresses: network.addresses(),
      ready: serving.ready(),
      model: { id: opened.id, sha256: opened.sha256, blockCount: loaded.config.blockCount },
      spans: loaded.span === undefined ? [] : [loaded.span],
      ...(serving.numericsClass === undefined ? {} : { backend: serving.numericsClass }),
      peers: network.peers().map((peer) => {
        const facts = network.connection(peer)
        return {
          peerId: peer,
          ...(facts?.rttMs === undefined ? {} : { rttMs: facts.rttMs }),
          relayed: facts?.relayed ?? false
        }
      }),
      memory: {
        residentBytes: process.memoryUsage.rss(),
        weightBytes: loaded.runner?.weightBytes ?? 0,
        kvBytes: serving.kvBytes(),
        ...(init.maxMemoryBytes === undefined ? {} : { limitBytes: init.maxMemoryBytes })
      },
      sessions: serving.sessions(),
      tokensServed: serving.tokensServed(),
      uptimeSeconds: Math.round((clock.monotonic() - startedAt) / 1000)
    })

    const embedder = embedderFor(init, components, clock)
    if (embedder !== undefined) teardown.add(async () => embedder[Symbol.asyncDispose]())
    const counted = embedder === undefined ? undefined : serving.embedder(embedder)
    // Who serves no API and never calls `fetch` need not load it: most of a process's start is reading modules.
    let opening: Promise<NodeApi> | undefined
    const openApi = (): Promise<NodeApi> => {
      opening ??= import('./node-api.ts').then(({ createNodeApi }) =>
        createNodeApi(
          { api: init.api ?? false, dataDir: init.dataDir },
          {
            model: serving.model,
            embedder: counted,
            status,
            signer: identity,
            facts: (id) => (id === opened.id ? { sha256: opened.sha256 } : embedderFacts(id)),
            clock,
            random,
            logger: components.logger,
            undo: teardown.add
          }
        )
      )
      // A failed start may be tried again; a running one is shared.
      opening.catch(() => (opening = undefined))
      return opening
    }
    const served = init.api === undefined || init.api === false ? undefined : await openApi()

    return {
      peerId: identity.peerId,
      addresses: () => network.addresses(),
      model: serving.model,
      embedder: counted,
      blocks: serving.blocks,
      head: (call) => loaded.head(call),
      apiUrl: served?.url,
      asksForKeys: served?.asksForKeys ?? false,
      fetch: async (request) => (await openApi()).api.fetch(request),
      status,
      async whenReady({ signal } = {}) {
        while (!serving.ready()) await clock.sleep(readyPollMs, signal === undefined ? {} : { signal })
      },
      explain: () => serving.explain(),
      lastChain: () => serving.lastChain(),
      pending: () => ({ sessions: serving.sessions(), answers: serving.answers() }),
      async drain({ timeoutMs = defaultDrainTimeoutMs, signal } = {}) {
        const late = new Error('the time to drain is over')
        const timer = deadlineSignal(clock, timeoutMs, () => late, signal)
        try {
          await serving.drain({ deadlineMs: timeoutMs, signal: timer.signal })
        } catch (error) {
          if (error !== late) throw error
        } finally {
          timer.clear()
        }
      },
      stop: () => teardown.run(),
      [Symbol.asyncDispose]: () => teardown.run()
    }
  } catch (error) {
    await teardown.run()
    throw error
  }
}

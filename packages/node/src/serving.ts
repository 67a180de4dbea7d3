import type {
  Authorizer,
  BlockRunner,
  CallOptions,
  ChainHop,
  Clock,
  Embedder,
  HeadRunner,
  LanguageModel,
  Logger,
  ModelShape,
  Network,
  Random,
  RecordStore,
  Startable
} from '@kwaai/interface'
import {
  createTextModel,
  localBlocks,
  type BlockPipeline,
  type BlockPipelineSource,
  type GrammarEngine
} from '@kwaai/shard/generate'
import {
  createAdvertiser,
  createChainSource,
  type ChainSource,
  type ChainSourceInit
} from '@kwaai/shard/route'
import { batchedRunner, createBlockServer, type BlockServer } from '@kwaai/shard/session'
import { countAnswers } from './answers.ts'
import { nodeError } from './errors.ts'
import type { LoadedModel } from './loaded-model.ts'
import type { OpenedModel } from './model-store.ts'
import { createTeardown } from './teardown.ts'

/** What {@link createServing} works with. */
export interface ServingComponents {
  opened: OpenedModel
  loaded: LoadedModel
  network: Network
  records: RecordStore
  clock: Clock
  random: Random
  logger?: Logger
  /** Told with the blocks. */
  region?: string
  /** How chains are chosen and opened. */
  chains: Pick<ChainSourceInit, 'topology' | 'maxSplitRttMs' | 'stepTimeoutMs' | 'authorization'>
  /** Asked whenever somebody opens a session at its blocks. */
  authorizer?: Authorizer
}

/** The two sides of a node: its blocks for others, and the whole model for its own user. */
export interface Serving {
  model: LanguageModel
  blocks: BlockPipelineSource
  /** Class of the blocks held here. */
  numericsClass: string | undefined
  ready(): boolean
  explain(): string
  lastChain(): readonly ChainHop[]
  sessions(): number
  tokensServed(): number
  kvBytes(): number
  /** Answers of the own models under way. */
  answers(): number
  /** Counts what an embedder does among the answers. */
  embedder<T extends Embedder>(inner: T): T
  /**
   * Withdraws the advert, takes no new sessions and answers, and resolves once those there are have ended or
   * moved, or the signal aborts.
   */
  drain(options: { deadlineMs: number; signal: AbortSignal }): Promise<void>
  stop(): Promise<void>
}

/** Serves the loaded blocks to others, makes that known, and puts a language model over the chain. */
export async function createServing(
  components: ServingComponents,
  options: CallOptions = {}
): Promise<Serving> {
  const { opened, loaded, clock, random } = components
  const teardown = createTeardown()
  try {
    const room = roomForContext(loaded)
    const numericsClass = await loaded.backend.numericsClass()
    const served = await serveBlocks(components, numericsClass, teardown.add, options)
    const server = served?.server
    const source = await findBlocks(components, numericsClass, teardown.add, options)
    let latest: BlockPipeline | undefined
    const { routes = false, explain, coverage } = source.blocks
    const blocks: BlockPipelineSource = {
      routes,
      ready: () => source.blocks.ready(),
      ...(explain === undefined ? {} : { explain }),
      ...(coverage === undefined ? {} : { coverage }),
      async open(init, call) {
        latest = await source.blocks.open(init, call)
        return latest
      }
    }
    const text = createTextModel(
      { id: opened.id, ...room },
      { file: loaded.file, head: lazyHead(loaded), blocks, grammar: lazyGrammar(), clock, random }
    )
    // The sessions it keeps between requests end before the network does.
    teardown.add(async () => text[Symbol.asyncDispose]())
    const answers = countAnswers(text)
    return {
      model: answers.model,
      blocks,
      numericsClass: server === undefined ? undefined : numericsClass,
      ready: () => blocks.ready(),
      explain: () => source.chains?.plan().problem ?? 'a chain can serve the model',
      // Servers may take the place of others while it runs.
      lastChain: () => latest?.chain ?? [],
      sessions: () => server?.stats().sessions ?? 0,
      tokensServed: () => server?.stats().tokensServed ?? 0,
      kvBytes: () => server?.stats().kvBytes ?? 0,
      answers: () => answers.running(),
      embedder: (inner) => answers.embedder(inner),
      async drain({ deadlineMs, signal }) {
        await Promise.all([
          answers.end({ signal }),
          served === undefined ? undefined : drainServer(served, { deadlineMs, signal })
        ])
      },
      stop: () => teardown.run()
    }
  } catch (error) {
    await teardown.run()
    throw error
  }
}

/** A block server and what makes it known. */
interface Served {
  server: BlockServer
  advertiser: Startable
}

type Undo = (step: () => Promise<unknown>) => void

async function serveBlocks(
  { opened, loaded, network, records, clock, random, logger, region, authorizer }: ServingComponents,
  numericsClass: string,
  undo: Undo,
  options: CallOptions
): Promise<Served | undefined> {
  const { runner } = loaded
  if (runner === undefined) return undefined
  const log = logger === undefined ? {} : { logger }
  const server = createBlockServer(
    {
      modelHash: opened.sha256,
      numericsClass,
      ...(loaded.maxKvBytes === undefined ? {} : { maxKvBytes: loaded.maxKvBytes })
    },
    { network, runner, clock, random, ...log, ...(authorizer === undefined ? {} : { authorizer }) }
  )
  await server.start(options)
  undo(() => server.stop())
  const told = region === undefined ? {} : { region }
  const advertiser = createAdvertiser(told, { records, server, clock, network, random, ...log })
  await advertiser.start(options)
  // Withdrawn before the server goes, so that nobody plans with a server that is not there.
  undo(() => advertiser.stop())
  return { server, advertiser }
}

/** Nobody plans with the server any more; then its sessions end or move. */
async function drainServer(
  { server, advertiser }: Served,
  options: { deadlineMs: number; signal: AbortSignal }
): Promise<void> {
  await advertiser.stop({ signal: options.signal })
  await server.drain(options)
}

/** The blocks of this process if it holds them all, else a chain over whoever announces them. */
async function findBlocks(
  { opened, loaded, network, records, clock, random, logger, chains: how }: ServingComponents,
  numericsClass: string,
  undo: Undo,
  options: CallOptions
): Promise<{ blocks: BlockPipelineSource; chains?: ChainSource }> {
  const { runner, config } = loaded
  if (runner !== undefined && holdsAll(runner, config)) {
    const shared = batchedRunner(runner, { clock })
    return { blocks: localBlocks(shared, { peer: network.peerId, numericsClass }) }
  }
  const chains = createChainSource(
    {
      modelHash: opened.sha256,
      blockCount: config.blockCount,
      hiddenSize: config.hiddenSize,
      numericsClass,
      ...how
    },
    { network, records, clock, random, ...(logger === undefined ? {} : { logger }) }
  )
  await chains.start(options)
  undo(() => chains.stop())
  return { blocks: chains, chains }
}

/** Where this process computes alone, its memory may hold less than the model's context; then that is the context. */
function roomForContext({ runner, maxKvBytes, config }: LoadedModel): { contextLength?: number } {
  if (maxKvBytes === undefined || runner === undefined || !holdsAll(runner, config)) return {}
  const tokens = Math.floor(maxKvBytes / runner.kvBytesPerToken)
  // Backends give room in buckets of up to this many tokens.
  const contextLength = tokens - (tokens % 256)
  if (contextLength > 0) return { contextLength }
  throw nodeError(
    'ERR_NODE_OUT_OF_MEMORY',
    `Cannot answer with this model: --max-memory leaves room for ${tokens} tokens beside the weights, and 256 is the least`
  )
}

function holdsAll(runner: BlockRunner, config: ModelShape): boolean {
  return runner.from === 0 && runner.to === config.blockCount
}

/** Grammars, read when the first answer has to follow one. */
function lazyGrammar(): GrammarEngine {
  return {
    specification: 'kwaai.grammar-engine/1',
    async compiler(vocabulary, options) {
      const { createGrammarEngine } = await import('@kwaai/shard/grammar')
      return createGrammarEngine().compiler(vocabulary, options)
    }
  }
}

/** The two ends of the model, loaded when somebody first asks: a server of blocks alone never needs them. */
function lazyHead(loaded: LoadedModel): HeadRunner {
  return {
    shape: loaded.config,
    embed: async (ids, options) => (await loaded.head()).embed(ids, options),
    logits: async (hidden, options) => (await loaded.head()).logits(hidden, options),
    // The model is unloaded where it was loaded.
    [Symbol.asyncDispose]: async () => undefined
  }
}

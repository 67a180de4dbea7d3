import type {
  BlockRunner,
  CallOptions,
  ChainHop,
  Clock,
  HeadRunner,
  LanguageModel,
  Logger,
  ModelShape,
  Network,
  Random,
  RecordStore
} from '@kwaai/interface'
import { createTextModel, localBlocks, type BlockPipelineSource } from '@kwaai/shard/generate'
import { createAdvertiser, createChainSource, type ChainSource } from '@kwaai/shard/route'
import { createBlockServer, type BlockServer } from '@kwaai/shard/session'
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
    const server = await serveBlocks(components, numericsClass, teardown.add, options)
    const source = await findBlocks(components, numericsClass, teardown.add, options)
    let chain: readonly ChainHop[] = []
    const blocks: BlockPipelineSource = {
      ready: () => source.blocks.ready(),
      async open(init, call) {
        const pipeline = await source.blocks.open(init, call)
        chain = pipeline.chain
        return pipeline
      }
    }
    const model = createTextModel(
      { id: opened.id, ...room },
      { file: loaded.file, head: lazyHead(loaded), blocks, clock, random }
    )
    return {
      model,
      blocks,
      numericsClass: server === undefined ? undefined : numericsClass,
      ready: () => blocks.ready(),
      explain: () => source.chains?.plan().problem ?? 'a chain can serve the model',
      lastChain: () => chain,
      sessions: () => server?.stats().sessions ?? 0,
      tokensServed: () => server?.stats().tokensServed ?? 0,
      kvBytes: () => server?.stats().kvBytes ?? 0,
      stop: () => teardown.run()
    }
  } catch (error) {
    await teardown.run()
    throw error
  }
}

type Undo = (step: () => Promise<unknown>) => void

async function serveBlocks(
  { opened, loaded, network, records, clock, random, logger }: ServingComponents,
  numericsClass: string,
  undo: Undo,
  options: CallOptions
): Promise<BlockServer | undefined> {
  const { runner } = loaded
  if (runner === undefined) return undefined
  const log = logger === undefined ? {} : { logger }
  const server = createBlockServer(
    {
      modelHash: opened.sha256,
      numericsClass,
      ...(loaded.maxKvBytes === undefined ? {} : { maxKvBytes: loaded.maxKvBytes })
    },
    { network, runner, clock, random, ...log }
  )
  await server.start(options)
  undo(() => server.stop())
  const advertiser = createAdvertiser({}, { records, server, clock, ...log })
  await advertiser.start(options)
  // Withdrawn before the server goes, so that nobody plans with a server that is not there.
  undo(() => advertiser.stop())
  return server
}

/** The blocks of this process if it holds them all, else a chain over whoever announces them. */
async function findBlocks(
  { opened, loaded, network, records, clock, random, logger }: ServingComponents,
  numericsClass: string,
  undo: Undo,
  options: CallOptions
): Promise<{ blocks: BlockPipelineSource; chains?: ChainSource }> {
  const { runner, config } = loaded
  if (runner !== undefined && holdsAll(runner, config)) {
    return { blocks: localBlocks(runner, { peer: network.peerId, numericsClass }) }
  }
  const chains = createChainSource(
    { modelHash: opened.sha256, blockCount: config.blockCount, hiddenSize: config.hiddenSize, numericsClass },
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

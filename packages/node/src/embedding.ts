import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { ModelFacts } from '@kwaai/api'
import type { Clock, Logger } from '@kwaai/interface'
import { fileSource } from '@kwaai/shard/gguf'
import { ensureEmbedder } from './embedder-store.ts'
import { createLazyEmbedder, type LazyEmbedder } from './lazy-embedder.ts'
import { defaultEmbedder, findKnownEmbedder, type EmbedderEntry } from './model/known-models.ts'
import type { StoreInit } from './model/store-request.ts'

/** What {@link createNodeEmbedder} works with. */
export interface NodeEmbedderComponents {
  clock: Clock
  logger?: Logger | undefined
  env?: StoreInit['env'] | undefined
  onProgress?: StoreInit['onProgress'] | undefined
  onNote?: StoreInit['onNote'] | undefined
}

/** The embedding model of a node, where it is wanted and can run. */
export function embedderFor(
  init: { embeddings?: boolean; threads?: number; api?: unknown },
  components: Omit<NodeEmbedderComponents, 'clock'>,
  clock: Clock
): LazyEmbedder | undefined {
  if (init.embeddings === false) return undefined
  if (canEmbed()) return createNodeEmbedder({ threads: init.threads ?? 1 }, { ...components, clock })
  // Only who would miss them is told.
  if (init.embeddings === true || (init.api ?? false) !== false) {
    components.onNote?.(
      'No embeddings are served: the package onnxruntime-node is not installed (npm i onnxruntime-node@1.30.0).'
    )
  }
  return undefined
}

/** True where what runs embedding models is installed. Nothing of it is loaded. */
function canEmbed(): boolean {
  try {
    createRequire(import.meta.url).resolve('onnxruntime-node')
    return true
  } catch {
    return false
  }
}

const weightsFile = 'model.safetensors'
const entry = findKnownEmbedder(defaultEmbedder) as EmbedderEntry
/** As `createOnnxEmbedder` makes it: vectors of another limit or format belong into another index. */
const embedderId = `${entry.id}-${entry.maxTokens}-f32`

/** What is known of the embedding model by its id, for those who ask who computed what. */
export function embedderFacts(id: string): ModelFacts | undefined {
  if (id !== embedderId) return undefined
  const weights = entry.files.find(({ fileName }) => fileName === weightsFile)
  return { local: true, ...(weights === undefined ? {} : { sha256: weights.sha256 }) }
}

/** The default embedding model, fetched and loaded by the first who asks it. */
export function createNodeEmbedder(
  { threads = 1 }: { threads?: number },
  components: NodeEmbedderComponents
): LazyEmbedder {
  const { clock, logger, env, onProgress, onNote } = components
  const created = Math.floor(clock.now() / 1000)
  const { dimensions, maxTokens } = entry
  const description = {
    id: embedderId,
    created,
    ownedBy: 'kwaai',
    dimensions,
    maxTokens
  }
  return createLazyEmbedder(
    { description },
    {
      clock,
      ...(logger === undefined ? {} : { logger }),
      async load({ signal }) {
        const { files } = await ensureEmbedder({
          clock,
          signal,
          ...(env === undefined ? {} : { env }),
          ...(onProgress === undefined ? {} : { onProgress }),
          ...(onNote === undefined ? {} : { onNote })
        })
        const { createOnnxEmbedder } = await import('@kwaai/shard/encoder')
        const json = async (name: string): Promise<unknown> =>
          JSON.parse(await readFile(files[name] as string, { encoding: 'utf8', signal }))
        const weights = await fileSource(files[weightsFile] as string)
        try {
          return await createOnnxEmbedder(
            { name: entry.id, maxTokens, threads, created },
            {
              weights,
              config: await json('config.json'),
              tokenizer: await json('tokenizer.json'),
              tokenizerConfig: await json('tokenizer_config.json'),
              clock
            },
            { signal }
          )
        } finally {
          await weights.close?.()
        }
      }
    }
  )
}

import type { BlockBackend, BlockRunner, CallOptions, HeadRunner } from '@kwaai/interface'
import { createGgmlBackend } from '@kwaai/shard/ggml'
import { llamaConfig, readGguf, type GgufFile, type LlamaConfig } from '@kwaai/shard/gguf'
import { createReferenceBackend } from '@kwaai/shard/reference'
import { nodeError } from './errors.ts'
import type { OpenedModel } from './model-store.ts'

/** The backends a node can run. */
export type BackendName = 'ggml' | 'reference'

/** A model of which this node holds some blocks, and the ends when they are asked for. */
export interface LoadedModel {
  file: GgufFile
  config: LlamaConfig
  backend: BlockBackend
  /** The blocks held here. */
  span: readonly [from: number, to: number] | undefined
  runner: BlockRunner | undefined
  /** Bytes left for caches, where memory is limited. */
  maxKvBytes: number | undefined
  /** Embedding, final norm and head: loaded at the first call. */
  head(options?: CallOptions): Promise<HeadRunner>
  dispose(): Promise<void>
}

/** What {@link loadModel} is told. */
export interface LoadInit {
  blocks?: 'all' | 'none' | readonly [from: number, to: number]
  backend?: BackendName
  threads?: number
  maxMemoryBytes?: number
}

function spanOf(
  blocks: LoadInit['blocks'],
  config: LlamaConfig
): readonly [from: number, to: number] | undefined {
  if (blocks === 'none') return undefined
  if (blocks === undefined || blocks === 'all') return [0, config.blockCount]
  const [from, to] = blocks
  if (Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= config.blockCount) {
    return [from, to]
  }
  throw nodeError(
    'ERR_NODE_INVALID_OPTION',
    `Cannot hold blocks ${from}-${to}: the model has blocks 0-${config.blockCount}`
  )
}

/**
 * Reads a model's header and loads the blocks this node is to hold.
 *
 * @throws A KwaaiError `ERR_NODE_INVALID_OPTION` for a range the model has not, `ERR_NODE_OUT_OF_MEMORY` when
 * the blocks do not fit, and the codes of `@kwaai/shard`.
 */
export async function loadModel(
  opened: OpenedModel,
  init: LoadInit,
  options: CallOptions = {}
): Promise<LoadedModel> {
  const file = await readGguf(opened.source, options)
  const config = llamaConfig(file)
  const span = spanOf(init.blocks, config)
  const limit = init.maxMemoryBytes
  const weights = span === undefined ? 0 : weightBytes(file, span)
  if (limit !== undefined && weights >= limit) {
    throw nodeError(
      'ERR_NODE_OUT_OF_MEMORY',
      `Cannot hold blocks ${span?.join('-')}: their weights take ${weights} bytes, --max-memory allows ${limit}`
    )
  }
  const maxKvBytes = limit === undefined ? undefined : limit - weights
  const backend =
    init.backend === 'reference'
      ? createReferenceBackend(limit === undefined ? {} : { maxMemoryBytes: limit })
      : createGgmlBackend({ threads: init.threads ?? 1, ...(maxKvBytes === undefined ? {} : { maxKvBytes }) })
  try {
    const runner =
      span === undefined
        ? undefined
        : await backend.loadBlocks(opened.source, { from: span[0], to: span[1] }, options)
    let head: Promise<HeadRunner> | undefined
    return {
      file,
      config,
      backend,
      span,
      runner,
      maxKvBytes,
      head(call = {}) {
        // A failed load may be tried again; a running one is shared.
        head ??= backend.loadHead(opened.source, call).catch((error: unknown) => {
          head = undefined
          throw error
        })
        return head
      },
      dispose: async () => backend[Symbol.asyncDispose]()
    }
  } catch (error) {
    await backend[Symbol.asyncDispose]()
    throw error
  }
}

function weightBytes(file: GgufFile, [from, to]: readonly [number, number]): number {
  let bytes = 0
  for (const tensor of file.tensors.values()) {
    const block = /^blk\.(\d+)\./.exec(tensor.name)
    if (block !== null && Number(block[1]) >= from && Number(block[1]) < to) bytes += tensor.byteLength
  }
  return bytes
}

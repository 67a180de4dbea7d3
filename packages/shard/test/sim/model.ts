import type {
  BlockRunner,
  BlockStep,
  CallOptions,
  HeadRunner,
  KvHandle,
  RowKernel,
  StepFailure
} from '@kwaai/interface'
import { createFakeClock } from '@kwaai/testing'
import { bytesSource } from '../../src/gguf/index.ts'
import { createReferenceBackend } from '../../src/reference/index.ts'
import { toyModel } from '../toy-model.ts'

export const blockCount = 4
export const hiddenSize = 16
/** Tokens the stories are made of. */
export const vocabulary = 200

/** A small model, loaded once for all worlds: one runner for each block, and the two ends. */
export interface SimModel {
  readonly numericsClass: string
  readonly head: HeadRunner
  /** The likeliest token after a row; the first of equals. */
  likeliest(hidden: Float32Array): number
  /** A runner of blocks `[from, to)` with a memory of its own. */
  runner(range: { from: number; to: number }): BlockRunner
}

export async function loadSimModel(): Promise<SimModel> {
  const file = toyModel({
    blockCount,
    hiddenSize,
    headCount: 2,
    kvHeadCount: 1,
    headSize: 8,
    feedForwardSize: 32,
    contextLength: 512
  })
  const source = bytesSource(file)
  // Its clock stands still, so that a computation never lets go of the thread: time is the world's.
  const backend = createReferenceBackend({}, { clock: createFakeClock() })
  const blocks: BlockRunner[] = []
  for (let from = 0; from < blockCount; from++) {
    blocks.push(await backend.loadBlocks(source, { from, to: from + 1 }))
  }
  const head = await backend.loadHead(source)
  const embeddings = await head.embed(Array.from({ length: vocabulary }, (_, token) => token))
  return {
    numericsClass: await backend.numericsClass(),
    head,
    likeliest: (hidden) => likeliest(embeddings, hidden),
    runner: (range) => createRangeRunner(blocks.slice(range.from, range.to), range)
  }
}

/** To the reference both kernels are the same; here they differ, so that a kernel that gets lost shows. */
function asKernel(hidden: Float32Array, kernel: RowKernel): Float32Array {
  return kernel === 'vec' ? hidden : hidden.map((value) => value * (1 + 2 ** -7))
}

function createRangeRunner(blocks: readonly BlockRunner[], range: { from: number; to: number }): BlockRunner {
  const [first] = blocks
  if (first === undefined) throw new Error('A range has a block')
  const handles = new Map<KvHandle, KvHandle[]>()
  let next = 1

  const handlesOf = (session: KvHandle): KvHandle[] => {
    const found = handles.get(session)
    if (found === undefined) throw new Error(`The runner has forgotten session ${session}`)
    return found
  }
  const close = async (session: KvHandle): Promise<void> => {
    const own = handles.get(session)
    handles.delete(session)
    if (own !== undefined) await Promise.all(own.map((handle, index) => blocks[index]?.close(handle)))
  }
  const run = async (step: BlockStep, options?: CallOptions): Promise<Float32Array | StepFailure> => {
    let { hidden } = step
    for (const [index, session] of handlesOf(step.session).entries()) {
      const [result] = await (blocks[index] as BlockRunner).forward(
        [{ ...step, session, hidden: asKernel(hidden, step.kernel) }],
        options
      )
      if (!(result instanceof Float32Array)) return result as StepFailure
      hidden = result
    }
    return hidden
  }

  return {
    ...range,
    shape: first.shape,
    weightBytes: blocks.reduce((sum, block) => sum + block.weightBytes, 0),
    kvBytesPerToken: blocks.reduce((sum, block) => sum + block.kvBytesPerToken, 0),
    async open(init, options) {
      const session: KvHandle = next++
      handles.set(session, await Promise.all(blocks.map((block) => block.open(init, options))))
      return session
    },
    async forward(steps, options) {
      const results: (Float32Array | StepFailure)[] = []
      for (const step of steps) results.push(await run(step, options))
      return results
    },
    async trim(session, length) {
      for (const [index, handle] of handlesOf(session).entries()) await blocks[index]?.trim(handle, length)
    },
    exportKv: () => Promise.reject(new Error('The runner does not move rows')),
    importKv: () => Promise.reject(new Error('The runner does not move rows')),
    close,
    async [Symbol.asyncDispose]() {
      for (const session of handles.keys()) await close(session)
    }
  }
}

/** The head is the embedding, and its norm is left out: what counts is that other bits choose other tokens. */
function likeliest(embeddings: Float32Array, hidden: Float32Array): number {
  let best = 0
  let most = -Infinity
  for (let token = 0; token < vocabulary; token++) {
    let logit = 0
    for (let i = 0; i < hiddenSize; i++) {
      logit += (embeddings[token * hiddenSize + i] as number) * (hidden[i] as number)
    }
    if (logit > most) {
      best = token
      most = logit
    }
  }
  return best
}

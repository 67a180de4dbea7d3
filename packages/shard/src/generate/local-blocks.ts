import { KwaaiError, type BlockRunner, type CallOptions, type KvHandle } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { BlockPipeline, BlockPipelineSource, PipelineStep } from './pipeline.ts'

/** How runners of this process appear in a chain. */
export interface LocalBlocksOptions {
  /** The name of this process. Default `local`. */
  peer?: string
  /** Of the backend; see `BlockBackend.numericsClass`. Default empty. */
  numericsClass?: string
}

interface Hop {
  runner: BlockRunner
  session: KvHandle
  /** Settled once every earlier step was handed to this runner. */
  turn: Promise<void>
}

/**
 * The blocks of a model in this process: one runner that holds them all, or several in a row. The runners stay
 * open when a pipeline closes.
 *
 * @throws A KwaaiError `ERR_BACKEND_INVALID_RANGE` when they do not cover the model exactly.
 */
export function localBlocks(
  runners: BlockRunner | readonly BlockRunner[],
  options: LocalBlocksOptions = {}
): BlockPipelineSource {
  const row = 'shape' in runners ? [runners] : [...runners]
  const { peer = 'local', numericsClass = '' } = options
  let next = 0
  for (const { from, to } of row) {
    if (from !== next) throw uncovered(next, from)
    next = to
  }
  const blockCount = row[0]?.shape.blockCount
  if (blockCount === undefined || next !== blockCount) throw uncovered(next, blockCount ?? 0)
  const chain = row.map(({ from, to }) => ({ peer, from, to, numericsClass }))

  return {
    ready: () => true,
    async open(init, call) {
      const hops: Hop[] = []
      try {
        for (const runner of row) {
          hops.push({ runner, session: await runner.open(init, call), turn: Promise.resolve() })
        }
      } catch (error) {
        await Promise.all(hops.map(({ runner, session }) => runner.close(session)))
        if (KwaaiError.is(error, 'ERR_BACKEND_OUT_OF_MEMORY')) throw noRoom(error)
        throw error
      }
      return createPipeline(hops, chain)
    }
  }
}

function createPipeline(hops: readonly Hop[], chain: BlockPipeline['chain']): BlockPipeline {
  let count = 0
  let steps = 0
  let failure: { at: number; error: unknown } | undefined
  let closing: Promise<void> | undefined

  const through = async (step: PipelineStep, options: CallOptions | undefined): Promise<Float32Array> => {
    const { past, kernel } = step
    const at = count++
    // A step takes its place at every hop at once, so that steps keep their order however long a hop takes.
    const places = hops.map((hop) => {
      const before = hop.turn
      let leave = (): void => undefined
      hop.turn = new Promise((resolve) => (leave = resolve))
      return { ...hop, before, leave }
    })
    try {
      let { hidden } = step
      for (const { runner, session, before, leave } of places) {
        await before
        // After a failed step the caches miss its rows; the steps before it go on.
        if (failure !== undefined && failure.at < at) throw failure.error
        const results = runner.forward([{ session, past, hidden, kernel }], options)
        leave()
        const result = (await results)[0]
        if (result === undefined || 'failure' in result) {
          throw shardError(
            'ERR_BACKEND_NOT_FINITE',
            `Cannot run blocks ${runner.from} to ${runner.to - 1}: bad values`,
            {
              details: { ...result }
            }
          )
        }
        hidden = result
      }
      steps++
      return hidden
    } catch (error) {
      if (failure === undefined || failure.at > at) failure = { at, error }
      throw error
    } finally {
      for (const { leave } of places) leave()
    }
  }

  return {
    chain,
    account: () => chain.map((hop) => ({ ...hop, steps })),
    async forward(step, options) {
      if (closing !== undefined) throw closed()
      const rows = await through(step, options)
      const width = hops[0]?.runner.shape.hiddenSize as number
      if (step.result === 'all') return rows
      return step.result === 'last' ? rows.slice(rows.length - width) : new Float32Array()
    },
    [Symbol.asyncDispose]: () => {
      failure = { at: -1, error: closed() }
      closing ??= Promise.all(hops.map(({ runner, session }) => runner.close(session))).then(() => undefined)
      return closing
    }
  }
}

/** Room comes back when another answer ends. */
function noRoom(cause: KwaaiError): Error {
  return shardError('ERR_MODEL_UNAVAILABLE', cause.message, { cause, details: { retryAfterMs: 2_000 } })
}

function closed(): Error {
  return shardError('ERR_BACKEND_CLOSED', 'Cannot run the step: the session was closed')
}

function uncovered(expected: number, found: number): Error {
  return shardError(
    'ERR_BACKEND_INVALID_RANGE',
    `Cannot put the runners in a row: block ${expected} should follow, but ${found} does`,
    { details: { expected, found } }
  )
}

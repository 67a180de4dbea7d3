import type { BlockPipelineSource } from '@kwaai/shard/generate'
import type { Breakdown } from './contenders.ts'

interface Totals {
  computeMs: number
  queueMs: number
}

/** A chain's account of itself, where the pipeline is one. */
interface WithStats {
  stats?: () => readonly Totals[]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, value) => total + value, 0)

/** The same source, with an account of where generated rows spent their time. For one session at a time. */
export function observed(source: BlockPipelineSource): {
  source: BlockPipelineSource
  /** Means a token, given the milliseconds of each. */
  breakdown: (decodeMs: readonly number[]) => Breakdown
} {
  let blocksMs = 0
  let steps = 0
  let hops = 1
  let before: Totals | undefined
  let last: Totals = { computeMs: 0, queueMs: 0 }
  return {
    source: {
      ready: () => source.ready(),
      async open(init, options) {
        const pipeline = await source.open(init, options)
        hops = pipeline.chain.length
        const totals = (): Totals => {
          const all = (pipeline as WithStats).stats?.() ?? []
          return {
            computeMs: sum(all.map(({ computeMs }) => computeMs)),
            queueMs: sum(all.map(({ queueMs }) => queueMs))
          }
        }
        return {
          get chain() {
            return pipeline.chain
          },
          async forward(step, call) {
            if (step.kernel !== 'vec') return pipeline.forward(step, call)
            before ??= totals()
            const started = performance.now()
            const rows = await pipeline.forward(step, call)
            blocksMs += performance.now() - started
            steps++
            last = totals()
            return rows
          },
          [Symbol.asyncDispose]: () => pipeline[Symbol.asyncDispose]()
        }
      }
    },
    breakdown(decodeMs) {
      const tokenMs = sum(decodeMs) / decodeMs.length
      const computeMs = (last.computeMs - (before?.computeMs ?? 0)) / steps
      const queueMs = (last.queueMs - (before?.queueMs ?? 0)) / steps
      const inBlocks = blocksMs / steps
      return {
        endsMs: tokenMs - inBlocks,
        computeMs,
        queueMs,
        betweenMs: inBlocks - computeMs - queueMs,
        hops
      }
    }
  }
}

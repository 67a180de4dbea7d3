import type {
  CallOptions,
  ChainHop,
  HopAccount,
  ModelDescription,
  RouteConstraintName,
  RouteConstraints,
  RouteExplanation,
  RowKernel
} from '@kwaai/interface'

/** One run of rows through all blocks of a model. */
export interface PipelineStep {
  /** Rows that went through before this step. */
  past: number
  /** The embedded tokens, `[rows, hiddenSize]`. */
  hidden: Float32Array
  /** The attention kernel of these rows. */
  kernel: RowKernel
  /** Which rows of the result to hand back: a prompt needs its last row alone, its earlier steps none. */
  result: 'none' | 'last' | 'all'
}

/**
 * The blocks of a model, all of them, for one session: one runner in this process or a chain of servers.
 * `forward` may be called again before an earlier call is settled; the steps keep their order, and a chain
 * lets them overlap on its hops.
 */
export interface BlockPipeline extends AsyncDisposable {
  /** Who computes which blocks, in order. */
  readonly chain: readonly ChainHop[]
  /** Constraints that were given up to open it, as their `relax` allows. */
  readonly relaxed?: readonly RouteConstraintName[]
  /** Aborts when it will run no more steps, also while nobody asks: it failed for good, or was closed. */
  readonly ended?: AbortSignal
  /**
   * What each hop did since the pipeline was opened: those in place now, in the order of their blocks, then those
   * that were replaced. Absent where nobody counts.
   */
  account?(): readonly HopAccount[]
  /** Residual rows after the last block: `[0]`, `[hiddenSize]` or `[rows, hiddenSize]`, as `result` asks. */
  forward(step: PipelineStep, options?: CallOptions): Promise<Float32Array>
}

/** What a session is opened for. */
export interface BlockPipelineInit {
  /** Rows it will hold at most. */
  maxTokens: number
  /** Who may compute; given only to a source that `routes`. Default: everybody. */
  constraints?: RouteConstraints
}

/** Opens sessions over the blocks of one model. */
export interface BlockPipelineSource {
  /** True where it chooses among servers and holds them to constraints. Default false. */
  readonly routes?: boolean
  /**
   * @throws A KwaaiError `ERR_MODEL_UNAVAILABLE` when nobody can serve the blocks now; where that is for want of
   * room, `ERR_SHARD_SERVER_FULL` or `ERR_BACKEND_OUT_OF_MEMORY` is among its causes.
   */
  open(init: BlockPipelineInit, options?: CallOptions): Promise<BlockPipeline>
  /** True while a session could be opened. */
  ready(): boolean
  /** Who would be chosen now, and why the others would not. Absent where it does not choose. */
  explain?(init: BlockPipelineInit, options?: CallOptions): Promise<RouteExplanation>
  /** How many servers hold each range of blocks, all blocks in order. Absent where there are none. */
  coverage?(): NonNullable<ModelDescription['coverage']>
}

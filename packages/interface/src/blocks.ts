import type { CallOptions } from './common.ts'

/**
 * The attention kernel of a row. Kernels differ in their last bits, so the kernel is part of a request and
 * never follows from how rows happen to be grouped: `tile` for rows of a prompt of 64 tokens and more, `vec`
 * for rows of a shorter prompt and for generated rows (llama.cpp's own rule).
 */
export type RowKernel = 'tile' | 'vec'

/** How the residual travels between two blocks. */
export type ResidualFormat = 'f32' | 'f16'

/** A model's shape, as block servers and clients need it. */
export interface ModelShape {
  architecture: string
  /** Number of blocks in the whole model. */
  blockCount: number
  /** Width of the residual. */
  hiddenSize: number
  /** Query heads. */
  headCount: number
  /** Key and value heads. */
  kvHeadCount: number
  /** Width of one head. */
  headSize: number
  vocabularySize: number
  /** Longest context the model was made for, in tokens. */
  contextLength: number
}

/** Names one KV cache of one runner. */
export type KvHandle = number & { readonly __brand?: 'KvHandle' }

/** One session's part of a batch. */
export interface BlockStep {
  session: KvHandle
  /** Rows the cache is expected to hold before this step; more are trimmed, fewer are an error. */
  past: number
  /** The residual entering the first block, `[rows, hiddenSize]`, row by row. */
  hidden: Float32Array
  /** The kernel of these rows. */
  kernel: RowKernel
}

/** Key and value rows of a stretch of one session's cache. */
export interface KvRows {
  /** First row. */
  from: number
  /** One past the last row. */
  to: number
  /** Element type of `data`. */
  format: 'f16' | 'f32'
  /** For each block in order its K rows, then its V rows, each `[to - from, kvHeadCount * headSize]`. */
  data: Uint8Array
}

/** A loaded range of blocks. Calls may overlap; the runner puts them in order. */
export interface BlockRunner extends AsyncDisposable {
  readonly shape: ModelShape
  /** First block. */
  readonly from: number
  /** One past the last block. */
  readonly to: number
  /** Bytes held by weights. */
  readonly weightBytes: number
  /** Bytes of cache a token costs in this range. */
  readonly kvBytesPerToken: number
  /** A session's cache is made for a multiple of so many rows. Default 1. */
  readonly kvRowsMultiple?: number
  /**
   * Makes room for a session of at most `maxTokens` rows.
   *
   * @throws A KwaaiError `ERR_BACKEND_OUT_OF_MEMORY` when there is none.
   */
  open(init: { maxTokens: number }, options?: CallOptions): Promise<KvHandle>
  /**
   * Runs the rows of all steps through the range and appends their K and V rows.
   *
   * @returns the residual leaving the last block, one `[rows, hiddenSize]` for each step.
   * @throws A KwaaiError `ERR_BACKEND_INVALID_STEP` for a step that does not fit its session. A step whose
   * values are not finite fails alone: see {@link StepFailure}.
   */
  forward(steps: readonly BlockStep[], options?: CallOptions): Promise<(Float32Array | StepFailure)[]>
  /** Forgets all rows from `length` on. */
  trim(session: KvHandle, length: number): Promise<void>
  exportKv(session: KvHandle, from: number, to: number, options?: CallOptions): Promise<KvRows>
  /** Writes rows at their place; the cache then ends at `rows.to`. */
  importKv(session: KvHandle, rows: KvRows, options?: CallOptions): Promise<void>
  close(session: KvHandle): Promise<void>
}

/** Why one step of a batch has no result, while the others have. */
export interface StepFailure {
  failure: 'not-finite' | 'out-of-range'
  /** The first bad row. */
  row: number
}

/** Options of {@link HeadRunner.logits}. */
export interface LogitsOptions extends CallOptions {
  /**
   * Memory of `vocabularySize` numbers to write to and to return. New memory for each token makes garbage of
   * many megabytes a second. Default: new memory.
   */
  into?: Float32Array
}

/** The two ends of a model: tokens to residual, residual to logits. */
export interface HeadRunner extends AsyncDisposable {
  readonly shape: ModelShape
  /** @returns the embeddings, `[ids.length, hiddenSize]`. */
  embed(ids: readonly number[] | Int32Array, options?: CallOptions): Promise<Float32Array>
  /** @returns final norm and head of one row `[hiddenSize]`: the logits, `[vocabularySize]`. */
  logits(hidden: Float32Array, options?: LogitsOptions): Promise<Float32Array>
}

/** Bytes of a model, read by range. */
export interface ByteSource {
  /** Length of the whole in bytes. */
  readonly size: number
  /** Exactly `length` bytes from `offset`, in memory the caller owns. */
  read(offset: number, length: number, options?: CallOptions): Promise<Uint8Array>
  close?(): Promise<void>
}

/** Runs block ranges of a model file. */
export interface BlockBackend extends AsyncDisposable {
  readonly specification: 'kwaai.block-backend/1'
  /** Such as `ggml` or `reference`. */
  readonly name: string
  readonly supports: {
    /** `any`: equal bits however rows are grouped into steps; `same-steps`: only when grouped alike. */
    exactReplay: 'any' | 'same-steps'
    residuals: readonly ResidualFormat[]
  }
  /**
   * Loads blocks `[from, to)` of a GGUF file.
   *
   * @throws A KwaaiError `ERR_GGUF_…` for a file it cannot run, before anything native sees it.
   */
  loadBlocks(
    model: ByteSource,
    range: { from: number; to: number },
    options?: CallOptions
  ): Promise<BlockRunner>
  /** Loads the embedding, the final norm and the head. */
  loadHead(model: ByteSource, options?: CallOptions): Promise<HeadRunner>
  /**
   * Everything that decides the bits of a result, in one string: backend, version, instruction set, buffer
   * type. Two nodes of one class compute equal bits from equal weights.
   */
  numericsClass(): Promise<string>
}

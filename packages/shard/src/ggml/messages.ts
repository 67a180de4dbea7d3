import type { RowKernel, StepFailure } from '@kwaai/interface'
import type { LlamaConfig } from '../gguf/index.ts'
import type { WeightSpec } from './weights.ts'

/** Element type of K and V rows. */
export type KvFormat = 'f16' | 'f32'

/** How the child process is to open ggml. */
export interface StartRequest {
  dir: string
  threads: number
  kvFormat: KvFormat
  maxKvBytes: number
  variant: string | undefined
  /** Number of the first session of each runner. */
  firstSession: number
}

/** What the child process found. */
export interface StartReply {
  version: string
  commit: string
  variant: string
  /** All buffer types weights may go to, the ordinary one last. */
  bufferTypes: string[]
}

/** One step as it travels: a `BlockStep` whose rows are in order and come as data. */
export interface WireStep {
  session: number
  past: number
  kernel: RowKernel
  rows: number
}

/** Every question to the child process, with its answer; what is said of data goes beside them. */
export interface Calls {
  start: [request: StartRequest, reply: StartReply]
  /** Makes room for a part of a model; its bytes follow. */
  load: [
    request: { part: 'blocks' | 'head'; config: LlamaConfig; specs: readonly WeightSpec[] },
    reply: { runner: number }
  ]
  /** Data: a piece of the tensor. */
  write: [request: { runner: number; tensor: number; offset: number }, reply: undefined]
  /** `maxLogitsRows` is 0 for blocks. */
  finish: [request: { runner: number }, reply: { weightBytes: number; maxLogitsRows: number }]
  unload: [request: { runner: number }, reply: undefined]
  open: [request: { runner: number; maxTokens: number }, reply: { session: number }]
  /** Data: the rows of all steps; those of the steps that did not fail. */
  forward: [
    request: { runner: number; steps: readonly WireStep[] },
    reply: { failures: (StepFailure | null)[] }
  ]
  trim: [request: { runner: number; session: number; length: number }, reply: undefined]
  /** Data of the reply: the rows. */
  exportKv: [request: { runner: number; session: number; from: number; to: number }, reply: undefined]
  /** Data: the rows. */
  importKv: [
    request: { runner: number; session: number; from: number; to: number; format: KvFormat },
    reply: undefined
  ]
  close: [request: { runner: number; session: number }, reply: undefined]
  /** Data: token ids, `Int32Array`; their embeddings. */
  embed: [request: { runner: number }, reply: undefined]
  /**
   * Data: rows; the embeddings of their likeliest tokens, since these are mostly the next thing asked for. The logits
   * are in the exchange when the reply comes, `[rows, vocabularySize]`.
   */
  logits: [request: { runner: number }, reply: { tokens: number[] }]
}

/** The name of a question. */
export type CallName = keyof Calls

/** An answer with its data. */
export interface Answer<N extends CallName> {
  reply: Calls[N][1]
  data: Uint8Array<ArrayBuffer>
}

/** The head of a question on its way to the child process. */
export interface ToChild<N extends CallName = CallName> {
  id: number
  call: N
  request: Calls[N][0]
}

/** The head of an answer on its way back. */
export type FromChild =
  | { id: number; reply: Calls[CallName][1] }
  | { id: number; error: { code: string; message: string; details: Readonly<Record<string, unknown>> } }

import type { KvRows, RowKernel, StepFailure } from '@kwaai/interface'
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
}

/** What the child process found. */
export interface StartReply {
  version: string
  commit: string
  variant: string
  /** All buffer types weights may go to, the ordinary one last. */
  bufferTypes: string[]
}

/** One step as it travels: a {@link BlockStep} whose rows are in order. */
export interface WireStep {
  session: number
  past: number
  kernel: RowKernel
  hidden: Float32Array
}

/** The likeliest token of some logits, and its embedding. */
export interface Likeliest {
  token: number
  hidden: Float32Array
}

/** Every question to the child process, with its answer. */
export interface Calls {
  start: [request: StartRequest, reply: StartReply]
  /** Makes room for a part of a model; its bytes follow. */
  load: [
    request: { part: 'blocks' | 'head'; config: LlamaConfig; specs: readonly WeightSpec[] },
    reply: { runner: number }
  ]
  write: [request: { runner: number; tensor: number; offset: number; bytes: Uint8Array }, reply: undefined]
  finish: [request: { runner: number }, reply: { weightBytes: number }]
  unload: [request: { runner: number }, reply: undefined]
  open: [request: { runner: number; maxTokens: number }, reply: { session: number }]
  forward: [
    request: { runner: number; steps: readonly WireStep[] },
    reply: { results: (Float32Array | StepFailure)[] }
  ]
  trim: [request: { runner: number; session: number; length: number }, reply: undefined]
  exportKv: [
    request: { runner: number; session: number; from: number; to: number },
    reply: { data: Uint8Array }
  ]
  importKv: [request: { runner: number; session: number; rows: KvRows }, reply: undefined]
  close: [request: { runner: number; session: number }, reply: undefined]
  embed: [request: { runner: number; ids: Int32Array }, reply: { hidden: Float32Array }]
  /**
   * The logits are in the exchange when the reply comes. The likeliest token's embedding comes along, since it
   * is mostly the next thing asked for.
   */
  logits: [request: { runner: number; hidden: Float32Array }, reply: Likeliest]
}

/** The name of a question. */
export type CallName = keyof Calls

/** A question on its way to the child process. `cancel` takes back one that has not begun. */
export type ToChild =
  | { id: number; call: CallName; request: Calls[CallName][0] }
  | { id: number; call: 'cancel' }

/** An answer on its way back. */
export type FromChild =
  | { id: number; reply: Calls[CallName][1] }
  | { id: number; error: { code: string; message: string; details: Readonly<Record<string, unknown>> } }

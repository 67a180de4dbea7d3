import type { EncoderInput } from './batches.ts'

/** What the thread that encodes is asked, one thing at a time. */
export type ToEncoderWorker =
  | { type: 'load'; model: Uint8Array<ArrayBuffer>; threads: number }
  | { type: 'run'; input: EncoderInput }

/** What it answers: to `load` no values. */
export type FromEncoderWorker =
  | { type: 'done'; data: Float32Array<ArrayBuffer> }
  | { type: 'missing'; why: string }
  | { type: 'failed'; why: string }

/**
 * llama.cpp itself, as the oracle of tests: libllama of the pinned package on the whole model, in a child
 * process of its own, one thread, the prompt in one ubatch.
 *
 *     await using oracle = await createOracle()             // process.env.KWAAI_MODEL_PATH
 *     const ids = await oracle.tokenize('Hello', false)     // number[]; true parses control tokens
 *     const many = await oracle.tokenizeAll(texts, false)   // number[][], one round trip
 *     await oracle.isEog(2)                                 // true
 *     const run = await oracle.generate(ids, 64)            // greedy: { tokens, first, last }
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A greedy run. */
export interface OracleRun {
  /** The generated tokens; generation does not stop at end tokens. */
  tokens: number[]
  /** Logits after the prompt. */
  first: Float32Array
  /** Logits that gave the last token. */
  last: Float32Array
}

/** What a benchmark needs: milliseconds of each part. */
export interface OracleTiming {
  prefillMs: number
  decodeMs: number[]
}

export interface Oracle extends AsyncDisposable {
  /** Its process. */
  readonly pid: number
  tokenize(text: string, parseSpecial: boolean): Promise<number[]>
  tokenizeAll(texts: readonly string[], parseSpecial: boolean): Promise<number[][]>
  isEog(token: number): Promise<boolean>
  generate(prompt: readonly number[], count: number): Promise<OracleRun & OracleTiming>
  /** Several greedy generations whose tokens run together: for benchmarks, the bits depend on who shares a batch. */
  generateAll(
    prompts: readonly (readonly number[])[],
    count: number
  ): Promise<{ tokens: number[][]; decodeMs: number }>
}

/** A question to the child. */
export type OracleRequest =
  | {
      id: number
      op: 'load'
      path: string
      vocabularyOnly: boolean
      variant: string | undefined
      threads: number
      maxPrompt: number
      sequences: number
    }
  | { id: number; op: 'tokenize'; texts: readonly string[]; parseSpecial: boolean }
  | { id: number; op: 'isEog'; token: number }
  | { id: number; op: 'generate'; prompt: readonly number[]; count: number }
  | { id: number; op: 'generateAll'; prompts: readonly (readonly number[])[]; count: number }

type Question = OracleRequest extends infer R ? (R extends { id: number } ? Omit<R, 'id'> : never) : never

/** Its answer. */
export interface OracleReply {
  id: number
  error?: string
  value?: unknown
}

/** How llama.cpp is started. */
export interface OracleInit {
  path?: string
  /** Loads no weights: enough for the tokenizer. */
  vocabularyOnly?: boolean
  variant?: string
  /** More than one is for benchmarks: the bits of llama.cpp's single rows depend on their number. */
  threads?: number
  /** Tokens of a prompt at most; the context has room for as many more. Default 1,024. */
  maxPrompt?: number
  /** Generations at once. Default 1. */
  sequences?: number
}

/** Starts llama.cpp on a model. */
export async function createOracle(init: OracleInit = {}): Promise<Oracle> {
  const path = init.path ?? process.env['KWAAI_MODEL_PATH']
  if (path === undefined) throw new Error('KWAAI_MODEL_PATH is not set')
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), {
    serialization: 'advanced',
    execArgv: ['--conditions=kwaai:source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, GGML_NO_BACKTRACE: '1', NODE_NO_WARNINGS: '1' }
  })
  const pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let next = 0
  child.on('message', (reply: OracleReply) => {
    const call = pending.get(reply.id)
    pending.delete(reply.id)
    if (reply.error === undefined) call?.resolve(reply.value)
    else call?.reject(new Error(reply.error))
  })
  const ended = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      for (const call of pending.values()) call.reject(new Error(`the oracle ended: ${signal ?? code}`))
      pending.clear()
      resolve()
    })
  })
  const ask = <T>(request: Question): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const id = next++
      pending.set(id, { resolve: (value) => resolve(value as T), reject })
      child.send({ id, ...request }, (error) => error !== null && reject(error))
    })

  const { vocabularyOnly = false, variant, threads = 1, maxPrompt = 1024, sequences = 1 } = init
  await ask({ op: 'load', path, vocabularyOnly, variant, threads, maxPrompt, sequences })
  return {
    pid: child.pid as number,
    tokenizeAll: (texts, parseSpecial) => ask({ op: 'tokenize', texts, parseSpecial }),
    tokenize: async (text, parseSpecial) =>
      (await ask<number[][]>({ op: 'tokenize', texts: [text], parseSpecial }))[0] ?? [],
    isEog: (token) => ask({ op: 'isEog', token }),
    generate: (prompt, count) => ask({ op: 'generate', prompt, count }),
    generateAll: (prompts, count) => ask({ op: 'generateAll', prompts, count }),
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect()
      await ended
    }
  }
}

/** The oracle's process: libllama by FFI. Struct offsets are those of llama.cpp's `llama.h` as of ggml 0.23.0. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import koffi, { type LibraryHandle } from 'koffi'
import type { OracleReply, OracleRequest } from './index.ts'

const platformPackage =
  process.platform === 'darwin' && process.arch === 'arm64'
    ? 'mac-arm64-metal'
    : `${{ darwin: 'mac', win32: 'win' }[process.platform as string] ?? process.platform}-${process.arch}`
// The flags of llama_model_params begin here; in the defaults the third of them, use_extra_bufts, alone is set.
const vocabOnlyOffset = 72

const bytes = (name: string, size: number) => koffi.struct(name, { raw: koffi.array('uint8', size, 'Typed') })
const modelParams = bytes('oracle_model_params', 80)
const contextParams = bytes('oracle_context_params', 160)
const batchStruct = bytes('oracle_batch', 56)

interface Raw {
  raw: Uint8Array
}

interface Loaded {
  vocab: number
  context: number
  vocabularySize: number
  /** Longest prompt. */
  maxPrompt: number
  sequences: number
}

interface Libraries {
  llama: LibraryHandle
  ggml: LibraryHandle
}

async function open(variant: string | undefined): Promise<Libraries> {
  const { getBinsDir } = (await import(`@node-llama-cpp/${platformPackage}`)) as {
    getBinsDir(): { binsDir: string }
  }
  const root = getBinsDir().binsDir
  const dir = join(root, readdirSync(root)[0] ?? '')
  const find = (pattern: RegExp): string => {
    const file = readdirSync(dir).find((name) => pattern.test(name))
    if (file === undefined) throw new Error(`no ${pattern} in ${dir}`)
    return join(dir, file)
  }
  koffi.load(find(/^(lib)?ggml-base\./))
  const ggml = koffi.load(find(/^(lib)?ggml\.v/))
  const llama = koffi.load(find(/^(lib)?llama\.v/))
  // A C function that ignores its arguments is the one safe sink for log lines.
  const quiet = koffi.address(llama.symbol('llama_time_us'))
  llama.func('llama_log_set', 'void', ['uintptr_t', 'uintptr_t'])(quiet, 0)
  if (variant === undefined) ggml.func('ggml_backend_load_all_from_path', 'void', ['str'])(dir)
  else ggml.func('ggml_backend_load', 'uintptr_t', ['str'])(find(new RegExp(`ggml-cpu-${variant}\\.`)))
  return { llama, ggml }
}

type LoadRequest = Extract<OracleRequest, { op: 'load' }>

function load(llama: LibraryHandle, request: LoadRequest): Loaded {
  const { path, vocabularyOnly, threads, maxPrompt, sequences } = request
  const modelDefaults = llama.func('llama_model_default_params', modelParams, []) as () => Raw
  const model = modelDefaults()
  if (vocabularyOnly) model.raw[vocabOnlyOffset] = 1
  const handle = llama.func('llama_model_load_from_file', 'uintptr_t', ['str', modelParams])(path, model)
  if (handle === 0) throw new Error(`llama.cpp cannot load ${path}`)
  const vocab = llama.func('llama_model_get_vocab', 'uintptr_t', ['uintptr_t'])(handle) as number
  const vocabularySize = llama.func('llama_vocab_n_tokens', 'int', ['uintptr_t'])(vocab) as number
  if (vocabularyOnly) return { vocab, context: 0, vocabularySize, maxPrompt, sequences }

  const contextDefaults = llama.func('llama_context_default_params', contextParams, []) as () => Raw
  const params = contextDefaults()
  const view = new DataView(params.raw.buffer, params.raw.byteOffset)
  view.setUint32(0, 2 * maxPrompt * sequences, true) // n_ctx, shared out among the sequences
  view.setUint32(4, maxPrompt, true) // n_batch
  view.setUint32(8, maxPrompt, true) // n_ubatch
  view.setUint32(12, sequences, true) // n_seq_max
  view.setInt32(28, threads, true) // n_threads
  view.setInt32(32, threads, true) // n_threads_batch
  const context = llama.func('llama_init_from_model', 'uintptr_t', ['uintptr_t', contextParams])(
    handle,
    params
  ) as number
  if (context === 0) throw new Error('llama.cpp cannot make a context')
  return { vocab, context, vocabularySize, maxPrompt, sequences }
}

function createCalls(llama: LibraryHandle, loaded: Loaded) {
  const tokenizeInto = llama.func('llama_tokenize', 'int', [
    'uintptr_t',
    'void *',
    'int',
    'void *',
    'int',
    'bool',
    'bool'
  ])
  const isEndOfGeneration = llama.func('llama_vocab_is_eog', 'bool', ['uintptr_t', 'int'])
  const memory = llama.func('llama_get_memory', 'uintptr_t', ['uintptr_t'])
  const clear = llama.func('llama_memory_clear', 'void', ['uintptr_t', 'bool'])
  const decode = llama.func('llama_decode', 'int', ['uintptr_t', batchStruct])
  const getLogits = llama.func('llama_get_logits_ith', 'uintptr_t', ['uintptr_t', 'int'])
  const { maxPrompt } = loaded

  const tokenize = (text: string, parseSpecial: boolean): number[] => {
    const utf8 = Buffer.from(text)
    const out = new Int32Array(utf8.length + 8)
    const count = tokenizeInto(
      loaded.vocab,
      utf8,
      utf8.length,
      out,
      out.length,
      false,
      parseSpecial
    ) as number
    if (count < 0) throw new Error(`llama_tokenize wants room for ${-count} tokens`)
    return [...out.subarray(0, count)]
  }

  let held: unknown[] = []
  /** Runs rows, each of its sequence; those whose logits are wanted come back in their order. */
  const run = (rows: readonly Row[]): Float32Array[] => {
    const n = rows.length
    const ids = Int32Array.from(rows, ({ token }) => token)
    const positions = Int32Array.from(rows, ({ at }) => at)
    const counts = new Int32Array(n).fill(1)
    const names = Int32Array.from({ length: loaded.sequences }, (_, i) => i)
    const first = koffi.address(names)
    const sequences = BigUint64Array.from(rows, ({ sequence }) => first + BigInt(4 * sequence))
    const wanted = Uint8Array.from(rows, (row) => (row.wanted ? 1 : 0))
    const raw = new Uint8Array(56)
    const view = new DataView(raw.buffer)
    view.setInt32(0, n, true)
    const pointers = [ids, undefined, positions, counts, sequences, wanted]
    // What only an address is left of would be collected.
    held = [names, ...pointers]
    pointers.forEach((array, i) => {
      view.setBigUint64(8 + 8 * i, array === undefined ? 0n : koffi.address(array), true)
    })
    const status = decode(loaded.context, { raw }) as number
    if (status !== 0)
      throw new Error(`llama_decode: ${status} for ${rows.length} rows, ${held.length} arrays`)
    const logits = (row: number): Float32Array => {
      const pointer = getLogits(loaded.context, row) as number
      return new Float32Array(koffi.view(pointer, loaded.vocabularySize * 4)).slice()
    }
    return rows.flatMap((row, i) => (row.wanted ? [logits(i)] : []))
  }

  /** The logits after a prompt that nothing came before. */
  const prefill = (prompt: readonly number[], sequence: number): Float32Array => {
    if (prompt.length > maxPrompt) throw new Error(`the oracle takes prompts up to ${maxPrompt} tokens`)
    const end = prompt.length - 1
    const rows = prompt.map((token, at) => ({ token, at, sequence, wanted: at === end }))
    return run(rows)[0] as Float32Array
  }

  const generate = (prompt: readonly number[], count: number): unknown => {
    clear(memory(loaded.context), false)
    const tokens: number[] = []
    const decodeMs: number[] = []
    let started = performance.now()
    const first = prefill(prompt, 0)
    const prefillMs = performance.now() - started
    let last = first
    for (;;) {
      const token = argmax(last)
      tokens.push(token)
      if (tokens.length === count) return { tokens, first, last, prefillMs, decodeMs }
      started = performance.now()
      last = run([
        { token, at: prompt.length + tokens.length - 1, sequence: 0, wanted: true }
      ])[0] as Float32Array
      decodeMs.push(performance.now() - started)
    }
  }

  /** Several generations whose tokens run together. */
  const generateAll = (prompts: readonly (readonly number[])[], count: number): unknown => {
    clear(memory(loaded.context), false)
    const tokens = prompts.map((prompt, i) => [argmax(prefill(prompt, i))])
    const started = performance.now()
    for (let done = 1; done < count; done++) {
      const logits = run(
        prompts.map((prompt, sequence) => ({
          token: tokens[sequence]?.at(-1) as number,
          at: prompt.length + done - 1,
          sequence,
          wanted: true
        }))
      )
      for (const [i, values] of logits.entries()) tokens[i]?.push(argmax(values))
    }
    return { tokens, decodeMs: performance.now() - started }
  }
  return {
    tokenize,
    generate,
    generateAll,
    isEog: (token: number) => isEndOfGeneration(loaded.vocab, token) as boolean
  }
}

interface Row {
  token: number
  at: number
  sequence: number
  wanted: boolean
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}

let calls: ReturnType<typeof createCalls> | undefined

async function answer(request: OracleRequest): Promise<unknown> {
  if (request.op === 'load') {
    const { llama } = await open(request.variant)
    calls = createCalls(llama, load(llama, request))
    return undefined
  }
  if (calls === undefined) throw new Error('no model is loaded')
  const { tokenize, generate, generateAll, isEog } = calls
  if (request.op === 'tokenize') return request.texts.map((text) => tokenize(text, request.parseSpecial))
  if (request.op === 'isEog') return isEog(request.token)
  if (request.op === 'generateAll') return generateAll(request.prompts, request.count)
  return generate(request.prompt, request.count)
}

process.on('disconnect', () => process.exit(0))
process.on('message', (request: OracleRequest) => {
  answer(request).then(
    (value) => process.send?.({ id: request.id, value } satisfies OracleReply),
    (error: Error) => process.send?.({ id: request.id, error: error.message } satisfies OracleReply)
  )
})

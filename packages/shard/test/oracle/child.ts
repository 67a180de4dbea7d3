/** The oracle's process: libllama by FFI. Struct offsets are those of llama.cpp's `llama.h` as of ggml 0.23.0. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import koffi, { type LibraryHandle } from 'koffi'
import type { OracleReply, OracleRequest } from './index.ts'

const platformPackage =
  process.platform === 'darwin' && process.arch === 'arm64'
    ? 'mac-arm64-metal'
    : `${{ darwin: 'mac', win32: 'win' }[process.platform as string] ?? process.platform}-${process.arch}`
const maxPrompt = 1024
const maxContext = 2048
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

function load(llama: LibraryHandle, path: string, vocabularyOnly: boolean, threads: number): Loaded {
  const modelDefaults = llama.func('llama_model_default_params', modelParams, []) as () => Raw
  const model = modelDefaults()
  if (vocabularyOnly) model.raw[vocabOnlyOffset] = 1
  const handle = llama.func('llama_model_load_from_file', 'uintptr_t', ['str', modelParams])(path, model)
  if (handle === 0) throw new Error(`llama.cpp cannot load ${path}`)
  const vocab = llama.func('llama_model_get_vocab', 'uintptr_t', ['uintptr_t'])(handle) as number
  const vocabularySize = llama.func('llama_vocab_n_tokens', 'int', ['uintptr_t'])(vocab) as number
  if (vocabularyOnly) return { vocab, context: 0, vocabularySize }

  const contextDefaults = llama.func('llama_context_default_params', contextParams, []) as () => Raw
  const params = contextDefaults()
  const view = new DataView(params.raw.buffer, params.raw.byteOffset)
  view.setUint32(0, maxContext, true) // n_ctx
  view.setUint32(4, maxPrompt, true) // n_batch
  view.setUint32(8, maxPrompt, true) // n_ubatch
  view.setInt32(28, threads, true) // n_threads
  view.setInt32(32, threads, true) // n_threads_batch
  const context = llama.func('llama_init_from_model', 'uintptr_t', ['uintptr_t', contextParams])(
    handle,
    params
  ) as number
  if (context === 0) throw new Error('llama.cpp cannot make a context')
  return { vocab, context, vocabularySize }
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
  const getLogits = llama.func('llama_get_logits', 'uintptr_t', ['uintptr_t'])

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

  /** Runs rows from `past` on; the logits of the last one. */
  const run = (tokens: readonly number[], past: number): Float32Array => {
    const n = tokens.length
    const ids = Int32Array.from(tokens)
    const positions = Int32Array.from(tokens, (_, i) => past + i)
    const counts = new Int32Array(n).fill(1)
    const zero = new Int32Array(1)
    const sequences = new BigUint64Array(n).fill(koffi.address(zero))
    const wanted = new Uint8Array(n)
    wanted[n - 1] = 1
    const raw = new Uint8Array(56)
    const view = new DataView(raw.buffer)
    view.setInt32(0, n, true)
    const pointers = [ids, undefined, positions, counts, sequences, wanted]
    pointers.forEach((array, i) => {
      view.setBigUint64(8 + 8 * i, array === undefined ? 0n : koffi.address(array), true)
    })
    const status = decode(loaded.context, { raw }) as number
    if (status !== 0) throw new Error(`llama_decode: ${status}`)
    const pointer = getLogits(loaded.context) as number
    return new Float32Array(koffi.view(pointer, loaded.vocabularySize * 4)).slice()
  }

  const generate = (prompt: readonly number[], count: number): unknown => {
    if (prompt.length > maxPrompt) throw new Error(`the oracle takes prompts up to ${maxPrompt} tokens`)
    clear(memory(loaded.context), false)
    const tokens: number[] = []
    const decodeMs: number[] = []
    let started = performance.now()
    const first = run(prompt, 0)
    const prefillMs = performance.now() - started
    let last = first
    for (;;) {
      const token = argmax(last)
      tokens.push(token)
      if (tokens.length === count) return { tokens, first, last, prefillMs, decodeMs }
      started = performance.now()
      last = run([token], prompt.length + tokens.length - 1)
      decodeMs.push(performance.now() - started)
    }
  }
  return { tokenize, generate, isEog: (token: number) => isEndOfGeneration(loaded.vocab, token) as boolean }
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
    calls = createCalls(llama, load(llama, request.path, request.vocabularyOnly, request.threads))
    return undefined
  }
  if (calls === undefined) throw new Error('no model is loaded')
  const { tokenize, generate, isEog } = calls
  if (request.op === 'tokenize') return request.texts.map((text) => tokenize(text, request.parseSpecial))
  if (request.op === 'isEog') return isEog(request.token)
  return generate(request.prompt, request.count)
}

process.on('disconnect', () => process.exit(0))
process.on('message', (request: OracleRequest) => {
  answer(request).then(
    (value) => process.send?.({ id: request.id, value } satisfies OracleReply),
    (error: Error) => process.send?.({ id: request.id, error: error.message } satisfies OracleReply)
  )
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import {
  createOnnxEmbedder,
  type OnnxEmbedder,
  type OnnxEmbedderComponents,
  type OnnxEmbedderInit,
  type OpenEncoderSession
} from '../src/encoder/index.ts'
import { openEncoderSession } from '../src/encoder/platform.ts'
import { runtimeUnavailable } from '../src/encoder/session.ts'
import type { FromEncoderWorker, ToEncoderWorker } from '../src/encoder/worker-messages.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { cosine, lengthOf, refused } from './encoder-kit.ts'
import { safetensorsFile, toyConfigJson, toyTokenizer, toyWeights } from './encoder-toy.ts'

const toyFiles = (dtype?: 'F32' | 'F16' | 'BF16'): OnnxEmbedderComponents => ({
  weights: bytesSource(safetensorsFile(toyWeights(dtype))),
  config: toyConfigJson,
  ...toyTokenizer()
})
const toy = (
  init: Partial<OnnxEmbedderInit> = {},
  components: Partial<OnnxEmbedderComponents> = {}
): Promise<OnnxEmbedder> => createOnnxEmbedder({ name: 'toy', ...init }, { ...toyFiles(), ...components })

/** ONNX Runtime, with a word before each run. */
function watched(before: (run: number) => void): OpenEncoderSession {
  return async (model, init) => {
    const session = await openEncoderSession(model, init)
    let runs = 0
    return {
      ...session,
      run(input) {
        before(++runs)
        return session.run(input)
      }
    }
  }
}

test('a small encoder, with all formats of weights', async () => {
  const vectors: Float32Array[] = []
  for (const [dtype, format] of [
    ['F32', 'f32'],
    ['F16', 'f32'],
    ['BF16', 'f32'],
    ['F16', 'f16']
  ] as const) {
    await using embedder = await toy({ format }, toyFiles(dtype))
    const result = await embedder.embed({ input: ['the cats on the mat', [6], ''] })
    expect(result.usage.promptTokens).toBe(8 + 3 + 2)
    vectors.push(result.vectors[0] as Float32Array)
  }
  for (const vector of vectors) {
    expect(lengthOf(vector)).toBeCloseTo(1, 6)
    expect(cosine(vector, vectors[0] as Float32Array)).toBeGreaterThan(0.999_999_9)
  }
})

test('no texts, no vectors', async () => {
  await using embedder = await toy()
  expect(await embedder.embed({ input: [] })).toEqual({
    vectors: [],
    usage: { promptTokens: 0, completionTokens: 0, cachedTokens: 0 }
  })
})

test('a vector does not depend on its neighbours, nor on how texts fall into batches', async () => {
  await using one = await toy({ maxBatchTokens: 1 })
  await using many = await toy({ maxBatchTokens: 1000 })
  const input = Array.from({ length: 40 }, (_, i) => Array.from({ length: i % 11 }, (_, j) => (i * j) % 16))
  const [alone, together] = [await one.embed({ input }), await many.embed({ input })]
  alone.vectors.forEach((vector, i) =>
    expect(cosine(vector, together.vectors[i] as Float32Array)).toBeGreaterThanOrEqual(0.999_999)
  )
})

describe('requests that make no sense', () => {
  test.each<[string, unknown, RegExp]>([
    ['an input that is no list', 'text', /no list/],
    ['a number', [5], /input 0: it is neither a text nor a list/],
    ['nothing', ['a', null], /input 1: it is neither/],
    ['a token beyond the vocabulary', [[16]], /its token 0 is no id from 0 to 15/],
    ['a negative token', [[0, -1]], /its token 1/],
    ['half a token', [[0.5]], /its token 0/],
    ['a token that is text', [['a']], /its token 0/],
    ['too many texts', Array(5).fill('a'), /5 texts, 4 is the most/]
  ])('%s', async (_, input, why) => {
    await using embedder = await toy({ maxTexts: 4 })
    const error = await refused(embedder.embed({ input: input as string[] }), 'ERR_MODEL_INVALID_REQUEST')
    expect(error.message).toMatch(why)
    expect(error.details).toMatchObject({ param: 'input' })
  })

  test('too many tokens, given as tokens', async () => {
    await using embedder = await toy({ maxTokens: 5 })
    await expect(embedder.embed({ input: [[6, 6, 6]] })).resolves.toBeDefined()
    const { details } = await refused(
      embedder.embed({ input: [[6], Array(1_000_000).fill(6)] }),
      'ERR_MODEL_CONTEXT_EXCEEDED'
    )
    expect(details).toEqual({ promptTokens: 1_000_002, contextLength: 5, index: 1 })
  })
})

describe('options out of range are refused by name', () => {
  test.each<[Partial<OnnxEmbedderInit>, string]>([
    [{ name: '' }, 'name'],
    [{ name: 'a b' }, 'name'],
    [{ format: 'int8' as 'f32' }, 'format'],
    [{ maxTokens: 13 }, 'maxTokens'],
    [{ maxTokens: 2 }, 'maxTokens'],
    [{ threads: 0 }, 'threads'],
    [{ maxBatchTokens: 0.5 }, 'maxBatchTokens'],
    [{ maxRequests: Number.NaN }, 'maxRequests'],
    [{ maxCharacters: 0 }, 'maxCharacters'],
    [{ created: -1 }, 'created']
  ])('%j', async (init, option) => {
    expect((await refused(toy(init), 'ERR_ENCODER_INVALID_INIT')).details).toEqual({ option })
  })

  test('a tokenizer with more tokens than the encoder', async () => {
    await refused(toy({}, { config: { ...toyConfigJson, vocab_size: 11 } }), 'ERR_TOKENIZER_INVALID')
  })
})

describe('whoever aborts', () => {
  test('between two batches ends the request, and the next one is served', async () => {
    const controller = new AbortController()
    let runs = 0
    const openSession = watched(() => {
      if (++runs === 2) controller.abort(new Error('enough'))
    })
    await using embedder = await toy({ maxBatchTokens: 1 }, { openSession })
    await expect(embedder.embed({ input: Array(50).fill('cat') }, controller)).rejects.toThrow('enough')
    await embedder.embed({ input: ['cat'] })
    expect(runs).toBe(3)
  })

  test('before, while others are served, or while it is made, gets the reason', async () => {
    await using embedder = await toy({ maxBatchTokens: 1 })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(embedder.embed({ input: ['cat'] }, { signal })).rejects.toThrow('enough')
    const controller = new AbortController()
    const first = embedder.embed({ input: ['cat', 'cat'] })
    const second = embedder.embed({ input: ['cat'] }, controller)
    controller.abort(new Error('no more'))
    await expect(second).rejects.toThrow('no more')
    expect((await first).vectors).toHaveLength(2)
    await expect(createOnnxEmbedder({ name: 'toy' }, toyFiles(), { signal })).rejects.toThrow('enough')
  })
})

test('requests take turns by batches, and one too many is told when to come back', async () => {
  const order: string[] = []
  await using embedder = await toy({ maxBatchTokens: 1, maxRequests: 2 })
  const ask = (name: string, count: number): Promise<unknown> =>
    embedder.embed({ input: Array(count).fill('cat') }).then(() => order.push(name))
  const long = ask('long', 60)
  const short = ask('short', 1)
  const { details } = await refused(embedder.embed({ input: ['cat'] }), 'ERR_MODEL_UNAVAILABLE')
  expect(details['retryAfterMs']).toBeGreaterThanOrEqual(1)
  await Promise.all([long, short])
  expect(order).toEqual(['short', 'long'])
  await embedder.embed({ input: ['cat'] })
})

describe('what goes wrong below is an error with a code', () => {
  test('a graph that is none', async () => {
    await refused(openEncoderSession(Uint8Array.of(1, 2, 3), { threads: 1 }), 'ERR_BACKEND_FAILED')
    await refused(openEncoderSession(new Uint8Array(), { threads: 1 }), 'ERR_BACKEND_FAILED')
  })

  test.each<[string, (vectors: Float32Array) => Float32Array]>([
    ['too few values', (vectors) => vectors.slice(1)],
    ['a value that is no number', (vectors) => vectors.with(1, Number.NaN)],
    ['vectors of another length', (vectors) => vectors.map((value) => value / 2)]
  ])('%s', async (_, change) => {
    const openSession: OpenEncoderSession = async (model, init) => {
      const session = await openEncoderSession(model, init)
      return { ...session, run: async (input) => change(await session.run(input)) }
    }
    await using embedder = await toy({}, { openSession })
    await refused(embedder.embed({ input: ['cat'] }), 'ERR_BACKEND_FAILED')
  })

  test('a run that fails in its own way; the next one is served', async () => {
    const openSession = watched((run) => {
      if (run === 1) throw new RangeError('no memory')
    })
    await using embedder = await toy({}, { openSession })
    const failed = embedder.embed({ input: ['cat'] })
    expect((await refused(failed, 'ERR_BACKEND_FAILED')).message).toContain('no memory')
    await expect(embedder.embed({ input: ['cat'] })).resolves.toBeDefined()
  })

  test('a runtime that is not installed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kwaai-encoder-'))
    try {
      await writeFile(join(folder, 'package.json'), '{"type":"module"}')
      const path = join(folder, 'worker.ts')
      await copyFile(fileURLToPath(new URL('../src/encoder/platform.worker.ts', import.meta.url)), path)
      const worker = new Worker(path, { workerData: new Int32Array(1) })
      const load: ToEncoderWorker = { type: 'load', model: new Uint8Array(1), threads: 1 }
      worker.postMessage(load, [])
      const [reply] = (await once(worker, 'message')) as [FromEncoderWorker]
      await worker.terminate()
      expect(reply).toMatchObject({ type: 'missing', why: expect.stringContaining('onnxruntime-node') })
      const error = runtimeUnavailable('onnxruntime-node', new Error('why'))
      expect(error.message).toContain('install onnxruntime-node@1.30.0')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('an embedder that is closed', () => {
  test('finishes the batch that runs, refuses what waits and what comes, and closes twice', async () => {
    let start = (): void => undefined
    const started = new Promise<void>((resolve) => (start = resolve))
    const embedder = await toy({ maxBatchTokens: 1 }, { openSession: watched(() => start()) })
    const running = embedder.embed({ input: ['cat'] })
    const cut = embedder.embed({ input: Array(50).fill('cat') })
    const refusal = refused(cut, 'ERR_BACKEND_CLOSED')
    await started
    const closed = embedder[Symbol.asyncDispose]()
    await refusal
    expect((await running).vectors).toHaveLength(1)
    await closed
    await embedder[Symbol.asyncDispose]()
    await refused(embedder.embed({ input: ['cat'] }), 'ERR_BACKEND_CLOSED')
    expect((await embedder.describe()).id).toBe('toy-12-f32')
  })

  test('a session that is closed says so', async () => {
    const openSession: OpenEncoderSession = async (model, init) => {
      const session = await openEncoderSession(model, init)
      await session.close()
      return session
    }
    const embedder = await toy({}, { openSession })
    await refused(embedder.embed({ input: ['cat'] }), 'ERR_BACKEND_CLOSED')
    await embedder[Symbol.asyncDispose]()
  })
})

describe('a process', () => {
  const run = async (...args: string[]): Promise<{ code: number | null; text: string }> => {
    const script = fileURLToPath(new URL('encoder-left-open.ts', import.meta.url))
    const child = spawn(process.execPath, ['--conditions=kwaai:source', script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, text }
  }

  test('is not kept alive by an embedder that is left open', async () => {
    expect(await run()).toEqual({ code: 0, text: '8 values\n' })
  })

  test('that ends within a run ends with its own status', async () => {
    expect(await run('exit')).toEqual({ code: 7, text: '8 values\n' })
  })
})

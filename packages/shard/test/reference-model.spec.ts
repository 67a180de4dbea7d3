import type { BlockRunner, ByteSource, Clock } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import { bytesSource, llamaConfig, readGguf, writeGguf } from '../src/gguf/index.ts'
import { createReferenceBackend, dequantize } from '../src/reference/index.ts'
import { seeded, toyModel, type ToyModelInit } from './toy-model.ts'

const small: ToyModelInit = { hiddenSize: 32, headCount: 2, kvHeadCount: 1, feedForwardSize: 64 }
const ids = [1, 40, 77, 200, 3, 3, 299, 0]

/** The logits after each of `ids`, one token a step. */
async function logitsOf(model: ToyModelInit | Uint8Array): Promise<Float32Array> {
  const source = bytesSource(model instanceof Uint8Array ? model : toyModel(model))
  const backend = createReferenceBackend()
  const head = await backend.loadHead(source)
  const runner = await backend.loadBlocks(source, { from: 0, to: head.shape.blockCount })
  const session = await runner.open({ maxTokens: ids.length })
  const { hiddenSize, vocabularySize } = head.shape
  const out = new Float32Array(ids.length * vocabularySize)
  const [rows] = await runner.forward([{ session, past: 0, hidden: await head.embed(ids), kernel: 'vec' }])
  for (let i = 0; i < ids.length; i++) {
    const row = (rows as Float32Array).slice(i * hiddenSize, (i + 1) * hiddenSize)
    out.set(await head.logits(row), i * vocabularySize)
  }
  await backend[Symbol.asyncDispose]()
  return out
}

/** FNV-1a of the bits. */
function hashOf(values: Float32Array): string {
  let hash = 0x811c9dc5
  for (const byte of new Uint8Array(values.buffer)) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16)
}

describe('the reference', () => {
  test('computes the same bits on every engine and processor', async () => {
    expect(hashOf(await logitsOf({ ...small, type: 'F32' }))).toBe('67079200')
    expect(hashOf(await logitsOf({ ...small, type: 'Q4_1', ropeTheta: 100_000 }))).toBe('eea42d6c')
  })

  test('agrees with the formulas, written naively in double precision', async () => {
    const model = toyModel({ ...small, kvHeadCount: 2, blockCount: 2, ropeFactors: [1, 1, 2, 4, 8, 8, 8, 8] })
    const actual = await logitsOf(model)
    const expected = await naiveLogits(model)
    const difference = Math.hypot(...actual.map((v, i) => v - (expected[i] as number)))
    expect(difference / Math.hypot(...expected)).toBeLessThan(1e-6)
  })

  test('an untied head that equals the embedding gives the logits of a tied one', async () => {
    const tied = toyModel(small)
    const file = await readGguf(bytesSource(tied))
    const tensors = [...file.tensors.values()].map((t) => ({
      name: t.name,
      type: t.type,
      shape: t.shape,
      data: tied.slice(t.offset, t.offset + t.byteLength)
    }))
    const embedding = tensors.find(({ name }) => name === 'token_embd.weight')
    if (embedding === undefined) throw new Error('no embedding')
    const untied = writeGguf({
      metadata: file.metadata,
      tensors: [...tensors, { ...embedding, name: 'output.weight' }]
    })
    expect(llamaConfig(await readGguf(bytesSource(untied))).tiedHead).toBe(false)
    expect(await logitsOf(untied)).toEqual(await logitsOf(tied))
    expect(await logitsOf({ ...small, tiedHead: false })).not.toEqual(await logitsOf(tied))
  })

  test('rope factors of one change nothing, others do', async () => {
    const plain = await logitsOf(small)
    expect(await logitsOf({ ...small, ropeFactors: Array(8).fill(1) })).toEqual(plain)
    const scaled = await logitsOf({ ...small, ropeFactors: Array(8).fill(4) })
    expect(scaled).not.toEqual(plain)
    // The first token is at position 0 and sees itself alone.
    expect(scaled.slice(0, 300)).toEqual(plain.slice(0, 300))
  })

  test('counts weights and caches against its memory, and gives them back', async () => {
    const source = bytesSource(toyModel(small))
    const measure = createReferenceBackend()
    const { weightBytes, kvBytesPerToken } = await measure.loadBlocks(source, { from: 0, to: 3 })
    const outOfMemory = { code: 'ERR_BACKEND_OUT_OF_MEMORY' }
    const tight = createReferenceBackend({ maxMemoryBytes: weightBytes - 1 })
    await expect(tight.loadBlocks(source, { from: 0, to: 3 })).rejects.toMatchObject(outOfMemory)

    const backend = createReferenceBackend({ maxMemoryBytes: weightBytes + 10 * kvBytesPerToken })
    const runner = await backend.loadBlocks(source, { from: 0, to: 3 })
    await expect(backend.loadBlocks(source, { from: 0, to: 1 })).rejects.toMatchObject(outOfMemory)
    const session = await runner.open({ maxTokens: 6 })
    await expect(runner.open({ maxTokens: 5 })).rejects.toMatchObject(outOfMemory)
    await runner.open({ maxTokens: 4 })
    await runner.close(session)
    await runner.open({ maxTokens: 6 })
    await runner[Symbol.asyncDispose]()
    const again = await backend.loadBlocks(source, { from: 0, to: 3 })
    await again.open({ maxTokens: 10 })
  })

  test('gives memory back when loading fails', async () => {
    const bytes = toyModel(small)
    const { dataOffset } = await readGguf(bytesSource(bytes))
    let broken = true
    const source: ByteSource = {
      size: bytes.length,
      async read(at, length) {
        if (broken && at > dataOffset + 100_000) throw new Error('gone')
        return bytes.slice(at, at + length)
      }
    }
    const { weightBytes } = await createReferenceBackend().loadBlocks(bytesSource(bytes), { from: 0, to: 3 })
    const backend = createReferenceBackend({ maxMemoryBytes: weightBytes })
    await expect(backend.loadBlocks(source, { from: 0, to: 3 })).rejects.toThrow('gone')
    broken = false
    await backend.loadBlocks(source, { from: 0, to: 3 })
  })

  test('refuses tensor types it does not compute, by name', async () => {
    const data = new Uint8Array(66)
    const bytes = toyModel({ ...small, hiddenSize: 256 })
    const file = await readGguf(bytesSource(bytes))
    const tensors = [...file.tensors.values()].map((t) =>
      t.name === 'blk.1.attn_q.weight'
        ? { ...t, type: 'IQ2_XXS' as const, data: new Uint8Array(data.length * (t.shape[1] as number)) }
        : { ...t, data: bytes.slice(t.offset, t.offset + t.byteLength) }
    )
    const source = bytesSource(writeGguf({ metadata: file.metadata, tensors }))
    const backend = createReferenceBackend()
    await expect(backend.loadBlocks(source, { from: 0, to: 3 })).rejects.toMatchObject({
      code: 'ERR_GGUF_UNSUPPORTED',
      message: expect.stringContaining('IQ2_XXS')
    })
    await backend.loadBlocks(source, { from: 2, to: 3 })
  })

  test('bounds the calls that wait', async () => {
    const backend = createReferenceBackend({ maxWaitingCalls: 3 })
    const runner = await backend.loadBlocks(bytesSource(toyModel(small)), { from: 0, to: 3 })
    const calls = [1, 2, 3, 4].map(() => runner.open({ maxTokens: 1 }))
    const outcomes = await Promise.allSettled(calls)
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected'])
    expect(outcomes[3]).toMatchObject({ reason: { code: 'ERR_BACKEND_BUSY' } })
    await runner.open({ maxTokens: 1 })
  })

  test('does not look at the caller’s rows after the call, nor keep them', async () => {
    const backend = createReferenceBackend()
    const runner = await backend.loadBlocks(bytesSource(toyModel(small)), { from: 0, to: 3 })
    const next = seeded(3)
    const hidden = Float32Array.from({ length: 5 * 32 }, () => next() - 0.5)
    const before = hidden.slice()
    const run = async (): Promise<unknown> => {
      const session = await runner.open({ maxTokens: 5 })
      const call = runner.forward([{ session, past: 0, hidden, kernel: 'vec' }])
      return call
    }
    const expected = await run()
    expect(hidden).toEqual(before)
    const session = await runner.open({ maxTokens: 5 })
    const call = runner.forward([{ session, past: 0, hidden, kernel: 'vec' }])
    hidden.fill(Number.NaN)
    expect(await call).toEqual(expected)
  })

  test('stops in the middle of a step, and the session goes on from its start', async () => {
    const { runner, paused, go } = await slowRunner()
    const hidden = new Float32Array(200 * 32).fill(0.5)
    const session = await runner.open({ maxTokens: 200 })
    // Rows of an earlier step, which the stopped one has begun to write over: they must not count any more.
    const filled = runner.forward([{ session, past: 0, hidden: hidden.slice(0, 5 * 32), kernel: 'vec' }])
    for (let block = 0; block < 3; block++) {
      await paused()
      go()
    }
    await filled
    await runner.exportKv(session, 0, 5)
    const controller = new AbortController()
    const reason = new Error('enough')
    const call = runner.forward([{ session, past: 0, hidden, kernel: 'tile' }], { signal: controller.signal })
    const outcome = expect(call).rejects.toBe(reason)
    await paused()
    go()
    await paused()
    controller.abort(reason)
    await outcome
    await expect(runner.exportKv(session, 0, 1)).rejects.toMatchObject({ code: 'ERR_BACKEND_INVALID_KV' })
  })

  test('ends in the middle of a step when it is closed', async () => {
    const { runner, paused, go } = await slowRunner()
    const hidden = new Float32Array(200 * 32).fill(0.5)
    const session = await runner.open({ maxTokens: 200 })
    const call = runner.forward([{ session, past: 0, hidden, kernel: 'tile' }])
    const outcome = expect(call).rejects.toMatchObject({ code: 'ERR_BACKEND_CLOSED' })
    await paused()
    const closing = runner[Symbol.asyncDispose]()
    go()
    await Promise.all([outcome, closing])
  })
})

/** A runner that asks for a pause before every piece of work, and gets it when `go` is called. */
async function slowRunner(): Promise<{ runner: BlockRunner; paused: () => Promise<void>; go: () => void }> {
  let wake = (): void => undefined
  let arrive = (): void => undefined
  let arrived = new Promise<void>((resolve) => (arrive = resolve))
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_ms, { signal } = {}) =>
      new Promise((resolve, reject) => {
        wake = resolve
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        arrive()
      })
  }
  const backend = createReferenceBackend({ sliceMs: 0 }, { clock })
  const runner = await backend.loadBlocks(bytesSource(toyModel(small)), { from: 0, to: 3 })
  return {
    runner,
    paused: () => arrived,
    go() {
      arrived = new Promise<void>((resolve) => (arrive = resolve))
      wake()
    }
  }
}

/** The same model from its formulas: whole sequence, plain arrays, double precision, `Math` of the engine. */
async function naiveLogits(bytes: Uint8Array): Promise<number[]> {
  const file = await readGguf(bytesSource(bytes))
  const c = llamaConfig(file)
  const tensor = (name: string): number[] => {
    const t = file.tensors.get(name)
    if (t === undefined) throw new Error(name)
    return [...dequantize(t.type, bytes.slice(t.offset, t.offset + t.byteLength))]
  }
  const times = (name: string, x: number[]): number[] => {
    const w = tensor(name)
    const rows = w.length / x.length
    return Array.from({ length: rows }, (_, r) =>
      x.reduce((sum, v, i) => sum + v * (w[r * x.length + i] as number), 0)
    )
  }
  const norm = (x: number[], name: string): number[] => {
    const w = tensor(name)
    const root = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + c.rmsEpsilon)
    return x.map((v, i) => (v / root) * (w[i] as number))
  }
  const factors = tensor('rope_freqs.weight')
  const turned = (x: number[], position: number): number[] =>
    x.map((v, i) => {
      const pair = Math.floor((i % c.headSize) / 2)
      const angle = (position * c.ropeTheta ** ((-2 * pair) / c.headSize)) / (factors[pair] as number)
      const other = x[i % 2 === 0 ? i + 1 : i - 1] as number
      return i % 2 === 0
        ? v * Math.cos(angle) - other * Math.sin(angle)
        : other * Math.sin(angle) + v * Math.cos(angle)
    })
  const embedding = tensor('token_embd.weight')
  let rows = ids.map((id) => embedding.slice(id * c.hiddenSize, (id + 1) * c.hiddenSize))
  for (let b = 0; b < c.blockCount; b++) {
    const name = (part: string): string => `blk.${b}.${part}.weight`
    const n = rows.map((x) => norm(x, name('attn_norm')))
    const q = n.map((x, i) => turned(times(name('attn_q'), x), i))
    const k = n.map((x, i) => turned(times(name('attn_k'), x), i))
    const v = n.map((x) => times(name('attn_v'), x))
    rows = rows.map((x, i) => {
      const mixed = Array.from({ length: c.headCount * c.headSize }, () => 0)
      for (let h = 0; h < c.headCount; h++) {
        const g = Math.floor(h / (c.headCount / c.kvHeadCount))
        const e = Array.from({ length: i + 1 }, (_, t) => {
          let sum = 0
          for (let j = 0; j < c.headSize; j++)
            sum += (q[i]?.[h * c.headSize + j] as number) * (k[t]?.[g * c.headSize + j] as number)
          return Math.exp(sum / Math.sqrt(c.headSize))
        })
        const total = e.reduce((a, b) => a + b)
        for (let t = 0; t <= i; t++)
          for (let j = 0; j < c.headSize; j++)
            mixed[h * c.headSize + j] =
              (mixed[h * c.headSize + j] as number) +
              ((e[t] as number) / total) * (v[t]?.[g * c.headSize + j] as number)
      }
      const back = times(name('attn_output'), mixed)
      return x.map((value, j) => value + (back[j] as number))
    })
    rows = rows.map((x) => {
      const f = norm(x, name('ffn_norm'))
      const up = times(name('ffn_up'), f)
      const gated = times(name('ffn_gate'), f).map((g, i) => (g / (1 + Math.exp(-g))) * (up[i] as number))
      const back = times(name('ffn_down'), gated)
      return x.map((value, j) => value + (back[j] as number))
    })
  }
  return rows.flatMap((x) => times('token_embd.weight', norm(x, 'output_norm.weight')))
}

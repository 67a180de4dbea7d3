import { KwaaiError } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import {
  blockTensors,
  bytesSource,
  headTensors,
  llamaConfig,
  readGguf,
  ropeFactors,
  tensorRanges,
  type GgufFile,
  type GgufTensor,
  type GgufValue
} from '../src/gguf/index.ts'
import { manyKvHeads, oneKvHead, toyModel } from './toy-model.ts'

const small = { hiddenSize: 32, headSize: 8, feedForwardSize: 64 }
const readToy = (init = {}): Promise<GgufFile> => readGguf(bytesSource(toyModel({ ...small, ...init })))

function errorOf(run: () => unknown): { code: string; message: string } {
  try {
    run()
  } catch (error) {
    if (KwaaiError.is(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function withMetadata(file: GgufFile, key: string, value: GgufValue | undefined): GgufFile {
  const metadata = new Map(file.metadata)
  if (value === undefined) metadata.delete(key)
  else metadata.set(key, value)
  return { ...file, metadata }
}

function withTensor(file: GgufFile, name: string, change: Partial<GgufTensor> | undefined): GgufFile {
  const tensors = new Map(file.tensors)
  const tensor = tensors.get(name) ?? { name, type: 'F32', shape: [1], offset: 0, byteLength: 4 }
  if (change === undefined) tensors.delete(name)
  else tensors.set(name, { ...tensor, ...change })
  return { ...file, tensors }
}

describe('llamaConfig', () => {
  test('reads the shape of a model', async () => {
    expect(llamaConfig(await readToy({ tiedHead: false }))).toEqual({
      architecture: 'llama',
      blockCount: 3,
      hiddenSize: 32,
      headCount: 4,
      kvHeadCount: 2,
      headSize: 8,
      vocabularySize: 300,
      contextLength: 1024,
      feedForwardSize: 64,
      rmsEpsilon: Math.fround(1e-5),
      ropeTheta: 10_000,
      ropeDimensions: 8,
      ropeFactors: false,
      tiedHead: false
    })
    expect(llamaConfig(await readToy({ ropeFactors: [1, 1, 2, 8] }))).toMatchObject({
      ropeFactors: true,
      tiedHead: true
    })
    expect(llamaConfig(await readToy(manyKvHeads))).toMatchObject({ headCount: 4, kvHeadCount: 4 })
    expect(llamaConfig(await readToy(oneKvHead))).toMatchObject({ headCount: 64, kvHeadCount: 1 })
  })

  test('takes the defaults of llama.cpp for what a file leaves out', async () => {
    let file = await readToy({ kvHeadCount: 4, ropeTheta: 77 })
    for (const key of ['attention.head_count_kv', 'attention.key_length', 'attention.value_length'])
      file = withMetadata(file, `llama.${key}`, undefined)
    file = withMetadata(file, 'llama.rope.freq_base', undefined)
    file = withMetadata(file, 'llama.rope.dimension_count', undefined)
    expect(llamaConfig(file)).toMatchObject({
      kvHeadCount: 4,
      headSize: 8,
      ropeTheta: 10_000,
      ropeDimensions: 8
    })
  })

  const u32 = (value: number): GgufValue => ({ type: 'uint32', value })
  const f32 = (value: number): GgufValue => ({ type: 'float32', value })
  const text = (value: string): GgufValue => ({ type: 'string', value })
  const bool = (value: boolean): GgufValue => ({ type: 'bool', value })
  const refused: [key: string, value: GgufValue, code: string, words: string][] = [
    ['general.architecture', text('qwen2'), 'ERR_GGUF_UNSUPPORTED', 'qwen2'],
    ['llama.rope.scaling.type', text('yarn'), 'ERR_GGUF_UNSUPPORTED', 'yarn'],
    ['llama.rope.scaling.type', text('linear'), 'ERR_GGUF_UNSUPPORTED', 'linear'],
    ['llama.rope.scale_linear', f32(4), 'ERR_GGUF_UNSUPPORTED', 'rope.scale_linear'],
    ['llama.rope.dimension_count', u32(4), 'ERR_GGUF_UNSUPPORTED', 'a part of each head'],
    ['llama.expert_count', u32(8), 'ERR_GGUF_UNSUPPORTED', 'expert_count'],
    ['llama.attention.sliding_window', u32(4096), 'ERR_GGUF_UNSUPPORTED', 'sliding_window'],
    ['llama.attention.causal', bool(false), 'ERR_GGUF_UNSUPPORTED', 'causal'],
    ['llama.use_parallel_residual', bool(true), 'ERR_GGUF_UNSUPPORTED', 'parallel'],
    ['llama.attention.value_length', u32(16), 'ERR_GGUF_UNSUPPORTED', 'differ'],
    ['llama.attention.head_count_kv', u32(3), 'ERR_GGUF_UNSUPPORTED', 'evenly'],
    ['llama.logit_scale', f32(0.5), 'ERR_GGUF_UNSUPPORTED', 'logit_scale'],
    [
      'llama.attention.head_count_kv',
      { type: 'array', of: 'uint32', length: 3, value: [2, 2, 1] },
      'ERR_GGUF_UNSUPPORTED',
      'block to block'
    ],
    ['llama.block_count', u32(0), 'ERR_GGUF_MISSING_METADATA', 'block_count'],
    ['llama.block_count', u32(4_000_000_000), 'ERR_GGUF_MISSING_METADATA', 'block_count'],
    ['llama.block_count', f32(2.5), 'ERR_GGUF_MISSING_METADATA', 'block_count'],
    ['llama.block_count', text('3'), 'ERR_GGUF_MISSING_METADATA', 'not a number'],
    ['llama.block_count', u32(4), 'ERR_GGUF_INVALID_TENSOR', 'blk.3.attn_norm'],
    ['llama.block_count', u32(2), 'ERR_GGUF_UNSUPPORTED', 'blk.2.attn_norm'],
    ['llama.embedding_length', u32(64), 'ERR_GGUF_INVALID_TENSOR', 'token_embd'],
    ['llama.feed_forward_length', u32(32), 'ERR_GGUF_INVALID_TENSOR', 'ffn_gate'],
    ['llama.attention.layer_norm_rms_epsilon', f32(-1), 'ERR_GGUF_MISSING_METADATA', 'epsilon'],
    ['llama.rope.freq_base', f32(Number.NaN), 'ERR_GGUF_MISSING_METADATA', 'freq_base'],
    [
      'tokenizer.ggml.tokens',
      { type: 'array', of: 'string', length: 299 },
      'ERR_GGUF_INVALID_TENSOR',
      '299 tokens'
    ]
  ]
  for (const [key, value, code, words] of refused)
    test(`refuses ${key} = ${value.type === 'array' ? 'an array' : value.value} by name`, async () => {
      const file = withMetadata(await readToy(), key, value)
      const error = errorOf(() => llamaConfig(file))
      expect(error.code).toBe(code)
      expect(error.message).toContain(words)
    })

  test('refuses a file without what it needs', async () => {
    const file = await readToy()
    for (const key of [
      'general.architecture',
      'llama.block_count',
      'llama.attention.layer_norm_rms_epsilon'
    ]) {
      const error = errorOf(() => llamaConfig(withMetadata(file, key, undefined)))
      expect(error.code).toBe('ERR_GGUF_MISSING_METADATA')
      expect(error.message).toContain(key)
    }
  })

  test('refuses a missing, a misshapen and a strange tensor by name, every one', async () => {
    const file = await readToy({ tiedHead: false, ropeFactors: [1, 1, 1, 1] })
    const config = llamaConfig(file)
    const blocks = [0, 1, 2].flatMap((i) => Object.values(blockTensors(config, i)))
    const specs = [...blocks, ...Object.values(headTensors(config)), ropeFactors(config)]
    expect(specs.length).toBe(file.tensors.size)
    for (const spec of specs) {
      const { name, shape, kind } = spec as NonNullable<typeof spec>
      const optional = name === 'output.weight' || name === 'rope_freqs.weight'
      if (!optional)
        expect(errorOf(() => llamaConfig(withTensor(file, name, undefined))).message).toContain(name)
      const wrong = withTensor(file, name, { shape: [...shape.slice(0, -1), (shape.at(-1) as number) + 32] })
      expect(errorOf(() => llamaConfig(wrong)).code).toBe('ERR_GGUF_INVALID_TENSOR')
      const deep = withTensor(file, name, { shape: [...shape, 2] })
      expect(errorOf(() => llamaConfig(deep)).code).toBe('ERR_GGUF_INVALID_TENSOR')
      const integers = withTensor(file, name, { type: 'I32' })
      expect(errorOf(() => llamaConfig(integers)).message).toContain(`${name} is of type I32`)
      const half = withTensor(file, name, { type: 'F16' })
      if (kind === 'vector') expect(errorOf(() => llamaConfig(half)).code).toBe('ERR_GGUF_UNSUPPORTED')
      else expect(llamaConfig(half)).toEqual(config)
      // Trailing ones say nothing.
      expect(llamaConfig(withTensor(file, name, { shape: [...shape, 1] }))).toEqual(config)
    }
    for (const name of ['blk.0.attn_q.bias', 'blk.1.ffn_gate_exps.weight', 'blk.0.attn_q_norm.weight']) {
      const error = errorOf(() => llamaConfig(withTensor(file, name, {})))
      expect(error).toMatchObject({ code: 'ERR_GGUF_UNSUPPORTED' })
      expect(error.message).toContain(name)
    }
  })
})

describe('tensorRanges', () => {
  test('covers every tensor of a part, and the parts cover the file', async () => {
    const file = await readToy({ type: 'Q4_0', ropeFactors: [1, 2, 3, 4], tiedHead: false })
    const parts = [{ from: 0, to: 1 }, { from: 1, to: 3 }, 'head'] as const
    const covered = new Set<string>()
    for (const part of parts) {
      const ranges = tensorRanges(file, part)
      for (const { name, offset, byteLength } of file.tensors.values()) {
        const inside = ranges.some((r) => offset >= r.offset && offset + byteLength <= r.offset + r.length)
        const block = Number(/^blk\.(\d+)/.exec(name)?.[1] ?? Number.NaN)
        const wanted =
          part === 'head'
            ? ['token_embd.weight', 'output_norm.weight', 'output.weight'].includes(name)
            : name === 'rope_freqs.weight' || (block >= part.from && block < part.to)
        expect(inside, name).toBe(wanted)
        if (inside) covered.add(name)
      }
    }
    expect(covered.size).toBe(file.tensors.size)
  })

  test('merges neighbours, and with a wider gap more of them', async () => {
    const file = await readToy()
    expect(tensorRanges(file, { from: 0, to: 3 })).toHaveLength(1)
    expect(tensorRanges(file, 'head')).toHaveLength(2)
    expect(tensorRanges(file, 'head', 10_000_000)).toHaveLength(1)
    expect(tensorRanges(file, { from: 5, to: 6 })).toEqual([])
  })
})

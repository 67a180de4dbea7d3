import { KwaaiError } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import { bertConfig, bertEncoderModel, buildBertEncoder } from '../src/encoder/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { encodeOnnxModel } from '../src/onnx-graph/index.ts'
import { refused } from './encoder-kit.ts'
import { safetensorsFile, toyConfig, toyConfigJson, toyWeights, type WeightEntry } from './encoder-toy.ts'

const source = (entries: readonly WeightEntry[]): ReturnType<typeof bytesSource> =>
  bytesSource(safetensorsFile(entries))
const config = toyConfig()

describe('the configuration', () => {
  test('of an encoder', () => {
    expect(config).toEqual({
      hiddenSize: 8,
      layerCount: 2,
      headCount: 2,
      innerSize: 16,
      vocabularySize: 16,
      maxPositions: 12,
      typeCount: 2,
      normEpsilon: 1e-12
    })
  })

  const refusal = (json: unknown): string => {
    try {
      bertConfig(json)
    } catch (error) {
      return KwaaiError.is(error) ? `${error.code}: ${error.message}` : String(error)
    }
    return 'accepted'
  }

  test.each<[object, RegExp]>([
    [{ model_type: 'roberta' }, /UNSUPPORTED: .*model_type is "roberta", only bert/],
    [{ model_type: undefined }, /UNSUPPORTED: .*model_type is nothing/],
    [{ hidden_act: 'gelu_new' }, /UNSUPPORTED: .*hidden_act is "gelu_new", only gelu/],
    [{ position_embedding_type: 'relative_key' }, /UNSUPPORTED: .*position_embedding_type/],
    [{ is_decoder: true }, /UNSUPPORTED: .*is_decoder is true/],
    [{ add_cross_attention: true }, /UNSUPPORTED: .*add_cross_attention/],
    [{ embedding_size: 4 }, /UNSUPPORTED: .*embedding_size is 4/],
    [{ hidden_size: 7 }, /INVALID_CONFIG: .*2 heads do not divide a width of 7/],
    [{ hidden_size: 0 }, /INVALID_CONFIG: .*hidden_size is no whole number/],
    [{ hidden_size: '8' }, /INVALID_CONFIG: .*hidden_size/],
    [{ num_hidden_layers: 1e9 }, /INVALID_CONFIG: .*num_hidden_layers .* 1 to 128/],
    [{ vocab_size: 1.5 }, /INVALID_CONFIG: .*vocab_size/],
    [{ max_position_embeddings: undefined }, /INVALID_CONFIG: .*max_position_embeddings/],
    [{ layer_norm_eps: 0 }, /INVALID_CONFIG: .*layer_norm_eps/],
    [{ layer_norm_eps: Number.NaN }, /INVALID_CONFIG: .*layer_norm_eps/]
  ])('refuses %j', (change, why) => {
    expect(refusal({ ...toyConfigJson, ...change })).toMatch(why)
  })

  test.each([[null], [[]], ['bert'], [undefined]])('refuses %j', (json) => {
    expect(refusal(json)).toMatch(/ERR_ENCODER_INVALID_CONFIG/)
  })
})

describe('the graph', () => {
  test('has the length it announces, the same bytes each time, half of them with f16', async () => {
    const weights = source(toyWeights())
    const file = await buildBertEncoder({ config }, weights)
    expect(await buildBertEncoder({ config, format: 'f32' }, weights)).toEqual(file)
    const model = await bertEncoderModel({ config }, weights)
    expect(encodeOnnxModel(model).byteLength).toBe(file.length)
    const matrixBytes = 2 * (16 * 8 + 2 * (4 * 8 * 8 + 2 * 8 * 16))
    const half = await buildBertEncoder({ config, format: 'f16' }, weights)
    // Nodes that widen come on top.
    expect(file.length - half.length).toBeLessThan(matrixBytes)
    expect(file.length - half.length).toBeGreaterThan(matrixBytes - 13 * 80)
  })

  test('is the same from weights stored as halves, where they hold the same numbers', async () => {
    const file = await buildBertEncoder({ config }, source(toyWeights()))
    for (const dtype of ['F16', 'BF16'] as const)
      expect(await buildBertEncoder({ config }, source(toyWeights(dtype)))).toEqual(file)
  })

  test('has no place for tensors of other models, but for those that embeddings do not need', async () => {
    const extra = (name: string): WeightEntry => ({ name, dtype: 'U8', shape: [1], data: Uint8Array.of(0) })
    const with_ = (name: string): Promise<unknown> =>
      buildBertEncoder({ config }, source([...toyWeights(), extra(name)]))
    for (const name of ['embeddings.position_ids', 'pooler.dense.weight', 'cls.predictions.bias'])
      await expect(with_(name)).resolves.toBeDefined()
    const error = await refused(with_('encoder.layer.2.output.dense.bias'), 'ERR_ENCODER_UNSUPPORTED')
    expect(error.details).toEqual({ tensor: 'encoder.layer.2.output.dense.bias' })
  })

  test('is refused without any one of its tensors', async () => {
    const all = toyWeights()
    for (const { name } of all) {
      const rest = all.filter((entry) => entry.name !== name)
      const error = await refused(buildBertEncoder({ config }, source(rest)), 'ERR_ENCODER_INVALID_TENSOR')
      expect(error.details).toEqual({ tensor: name })
    }
  })

  test('is refused with a tensor of another shape, another type, or values f16 cannot hold', async () => {
    const change = (by: Partial<WeightEntry>): ReturnType<typeof bytesSource> =>
      source(toyWeights().map((entry, i) => (i === 0 ? { ...entry, ...by } : entry)))
    const build = (by: Partial<WeightEntry>, format: 'f32' | 'f16' = 'f32'): Promise<unknown> =>
      buildBertEncoder({ config, format }, change(by))
    const { message } = await refused(build({ shape: [8, 16] }), 'ERR_ENCODER_INVALID_TENSOR')
    expect(message).toContain('has the shape [8,16], config.json asks for [16,8]')
    await refused(build({ dtype: 'I32' }), 'ERR_ENCODER_INVALID_TENSOR')
    const large = { data: new Uint8Array(new Float32Array(128).fill(70_000).buffer) }
    await expect(build(large)).resolves.toBeDefined()
    await refused(build(large, 'f16'), 'ERR_ENCODER_INVALID_TENSOR')
  })

  test('an abort ends the reading', async () => {
    const controller = new AbortController()
    let reads = 0
    const weights = source(toyWeights())
    const counted = {
      ...weights,
      async read(offset: number, length: number, options?: { signal?: AbortSignal }): Promise<Uint8Array> {
        if (++reads === 9) controller.abort(new Error('enough'))
        return weights.read(offset, length, options)
      }
    }
    await expect(buildBertEncoder({ config, signal: controller.signal }, counted)).rejects.toThrow('enough')
    expect(reads).toBe(9)
  })
})

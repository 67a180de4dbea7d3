import { bertConfig, type BertConfig, type SafetensorsType } from '../src/encoder/index.ts'

/** A tensor to be written. */
export interface WeightEntry {
  name: string
  dtype: SafetensorsType
  shape: readonly number[]
  data: Uint8Array
}

/** A safetensors file, in memory. */
export function safetensorsFile(
  entries: readonly WeightEntry[],
  metadata?: Record<string, string>
): Uint8Array {
  let end = 0
  const header: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]]
  for (const { name, dtype, shape, data } of entries) {
    header.push([name, { dtype, shape, data_offsets: [end, end + data.length] }])
    end += data.length
  }
  // Not by assignment: a tensor may be called __proto__.
  return withHeader(JSON.stringify(Object.fromEntries(header)), ...entries.map(({ data }) => data))
}

/** A file with a header of the caller's own. */
export function withHeader(header: string | Uint8Array, ...data: readonly Uint8Array[]): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true)
  const parts = [length, text, ...data]
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let end = 0
  for (const part of parts) {
    file.set(part, end)
    end += part.length
  }
  return file
}

/** The `config.json` of an encoder of two layers. */
export const toyConfigJson = {
  model_type: 'bert',
  hidden_act: 'gelu',
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 16,
  vocab_size: 16,
  max_position_embeddings: 12,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12
} as const

/** The weights of {@link toyConfigJson}: small numbers that bfloat16 holds exactly, the same in every run. */
export function toyWeights(dtype: 'F32' | 'F16' | 'BF16' = 'F32'): WeightEntry[] {
  const { hiddenSize, innerSize, vocabularySize, maxPositions, typeCount, layerCount } = toyConfig()
  let state = 7
  const entry = (name: string, shape: readonly number[], scale = 1): WeightEntry => {
    const count = shape.reduce((product, n) => product * n, 1)
    const values = Array.from({ length: count }, () => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return (scale * (((state >> 8) % 128) - 64)) / 64
    })
    return { name, dtype, shape, data: bytesOf(values, dtype) }
  }
  const linear = (name: string, to: number, from: number): WeightEntry[] => [
    entry(`${name}.weight`, [to, from], 0.5),
    entry(`${name}.bias`, [to], 0.5)
  ]
  const norm = (name: string): WeightEntry[] => [
    entry(`${name}.weight`, [hiddenSize]),
    entry(`${name}.bias`, [hiddenSize])
  ]
  return [
    entry('embeddings.word_embeddings.weight', [vocabularySize, hiddenSize]),
    entry('embeddings.position_embeddings.weight', [maxPositions, hiddenSize]),
    entry('embeddings.token_type_embeddings.weight', [typeCount, hiddenSize]),
    ...norm('embeddings.LayerNorm'),
    ...Array.from({ length: layerCount }, (_, layer) => `encoder.layer.${layer}`).flatMap((at) => [
      ...linear(`${at}.attention.self.query`, hiddenSize, hiddenSize),
      ...linear(`${at}.attention.self.key`, hiddenSize, hiddenSize),
      ...linear(`${at}.attention.self.value`, hiddenSize, hiddenSize),
      ...linear(`${at}.attention.output.dense`, hiddenSize, hiddenSize),
      ...norm(`${at}.attention.output.LayerNorm`),
      ...linear(`${at}.intermediate.dense`, innerSize, hiddenSize),
      ...linear(`${at}.output.dense`, hiddenSize, innerSize),
      ...norm(`${at}.output.LayerNorm`)
    ])
  ]
}

/** {@link toyConfigJson}, read. */
export function toyConfig(): BertConfig {
  return bertConfig(toyConfigJson)
}

function bytesOf(values: readonly number[], dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  const floats = Float32Array.from(values)
  if (dtype === 'F32') return new Uint8Array(floats.buffer)
  const words = new Uint32Array(floats.buffer)
  const halves =
    dtype === 'BF16'
      ? Uint16Array.from(words, (word) => word >>> 16)
      : // Small multiples of 1/128 are normal halves: sign, exponent and fraction move, nothing is rounded.
        Uint16Array.from(words, (word) =>
          (word & 0x7fff_ffff) === 0
            ? word >>> 16
            : ((word >>> 16) & 0x8000) | (((word & 0x7fff_ffff) - 0x3800_0000) >>> 13)
        )
  return new Uint8Array(halves.buffer)
}

/** The files of a WordPiece tokenizer with a few words. */
export function toyTokenizer(): {
  tokenizer: Record<string, unknown>
  tokenizerConfig: Record<string, unknown>
} {
  const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'cat', 'on', 'the', 'mat', '##s', ',']
  const special = words.slice(0, 5)
  return {
    tokenizer: {
      version: '1.0',
      truncation: { max_length: 3, strategy: 'LongestFirst', stride: 0 },
      padding: { strategy: { Fixed: 9 }, direction: 'Right', pad_id: 0, pad_type_id: 0, pad_token: '[PAD]' },
      added_tokens: special.map((content, id) => ({
        id,
        content,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false
      })),
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: null,
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(words.map((word, id) => [word, id]))
      }
    },
    tokenizerConfig: {
      tokenizer_class: 'BertTokenizer',
      cls_token: '[CLS]',
      sep_token: '[SEP]',
      pad_token: '[PAD]',
      unk_token: '[UNK]',
      mask_token: '[MASK]'
    }
  }
}

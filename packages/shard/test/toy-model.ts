import { writeGguf, type GgufValue, type TensorType } from '../src/gguf/index.ts'
import { numberToHalf } from '../src/half.ts'

/** The shape of a toy model and what its file is made of. */
export interface ToyModelInit {
  blockCount?: number
  hiddenSize?: number
  headCount?: number
  kvHeadCount?: number
  headSize?: number
  feedForwardSize?: number
  contextLength?: number
  /** Tensor type of all matrices. Default F32. */
  type?: ToyType
  /** Tensor type of the embedding and the head. Default: `type`. */
  headType?: ToyType
  /** The head is the embedding. Default true. */
  tiedHead?: boolean
  ropeTheta?: number
  /** Adds `rope_freqs.weight` with these factors, `[headSize / 2]`. */
  ropeFactors?: readonly number[]
  seed?: number
  /** Put on top of, or in the place of, the model's own metadata. */
  metadata?: Readonly<Record<string, GgufValue>>
}

/** The types a toy model's matrices can have. */
export type ToyType = 'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0'

/** As many kv heads as heads. */
export const manyKvHeads: ToyModelInit = { headCount: 4, kvHeadCount: 4 }
/** 64 heads on one kv head. */
export const oneKvHead: ToyModelInit = { headCount: 64, kvHeadCount: 1, headSize: 32, blockCount: 2 }

const u32 = (value: number): GgufValue => ({ type: 'uint32', value })
const f32 = (value: number): GgufValue => ({ type: 'float32', value })
const text = (value: string): GgufValue => ({ type: 'string', value })
const strings = (value: readonly string[]): GgufValue => ({
  type: 'array',
  of: 'string',
  length: value.length,
  value
})

/** Marsaglia's xorshift32: the same numbers everywhere. */
export function seeded(seed: number): () => number {
  let state = (seed | 0) === 0 ? 1 : seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/** The bytes of a small Llama model with seeded weights: the same file for the same init, everywhere. */
export function toyModel(init: ToyModelInit = {}): Uint8Array {
  const { blockCount = 3, hiddenSize = 64, headCount = 4, kvHeadCount = 2 } = init
  const { headSize = 16, feedForwardSize = 128, contextLength = 1024, type = 'F32', tiedHead = true } = init
  const vocabulary = toyTokenizer()
  const next = seeded(init.seed ?? 1)
  const tensors: { name: string; type: TensorType; shape: number[]; data: Uint8Array }[] = []

  const matrix = (name: string, inputs: number, outputs: number, of: ToyType, scale: number): void => {
    const values = new Float32Array(inputs * outputs)
    // Evenly spread with the variance that keeps a row's length: 12 / inputs, times the scale.
    for (let i = 0; i < values.length; i++) values[i] = (next() - 0.5) * Math.sqrt(12 / inputs) * scale
    tensors.push({ name, type: of, shape: [inputs, outputs], data: encode(of, values) })
  }
  const vector = (name: string, length: number): void => {
    const values = Float32Array.from({ length }, () => 0.5 + next())
    tensors.push({ name, type: 'F32', shape: [length], data: encode('F32', values) })
  }

  matrix('token_embd.weight', hiddenSize, vocabulary.tokens.length, init.headType ?? type, 8)
  if (init.ropeFactors !== undefined)
    tensors.push({
      name: 'rope_freqs.weight',
      type: 'F32',
      shape: [init.ropeFactors.length],
      data: encode('F32', Float32Array.from(init.ropeFactors))
    })
  for (let i = 0; i < blockCount; i++) {
    const name = (part: string): string => `blk.${i}.${part}.weight`
    vector(name('attn_norm'), hiddenSize)
    matrix(name('attn_q'), hiddenSize, headCount * headSize, type, 1.5)
    matrix(name('attn_k'), hiddenSize, kvHeadCount * headSize, type, 1.5)
    matrix(name('attn_v'), hiddenSize, kvHeadCount * headSize, type, 1)
    matrix(name('attn_output'), headCount * headSize, hiddenSize, type, 1)
    vector(name('ffn_norm'), hiddenSize)
    matrix(name('ffn_gate'), hiddenSize, feedForwardSize, type, 1)
    matrix(name('ffn_up'), hiddenSize, feedForwardSize, type, 1)
    matrix(name('ffn_down'), feedForwardSize, hiddenSize, type, 1)
  }
  vector('output_norm.weight', hiddenSize)
  if (!tiedHead) matrix('output.weight', hiddenSize, vocabulary.tokens.length, init.headType ?? type, 1)

  const metadata: Record<string, GgufValue> = {
    'general.architecture': text('llama'),
    'general.name': text('Toy'),
    'llama.block_count': u32(blockCount),
    'llama.context_length': u32(contextLength),
    'llama.embedding_length': u32(hiddenSize),
    'llama.feed_forward_length': u32(feedForwardSize),
    'llama.attention.head_count': u32(headCount),
    'llama.attention.head_count_kv': u32(kvHeadCount),
    'llama.attention.key_length': u32(headSize),
    'llama.attention.value_length': u32(headSize),
    'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
    'llama.rope.dimension_count': u32(headSize),
    'llama.rope.freq_base': f32(init.ropeTheta ?? 10_000),
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('smollm'),
    'tokenizer.ggml.tokens': strings(vocabulary.tokens),
    'tokenizer.ggml.token_type': {
      type: 'array',
      of: 'int32',
      length: vocabulary.types.length,
      value: vocabulary.types
    },
    'tokenizer.ggml.merges': strings(vocabulary.merges),
    'tokenizer.ggml.bos_token_id': u32(1),
    'tokenizer.ggml.eos_token_id': u32(2),
    'tokenizer.ggml.unknown_token_id': u32(0),
    'tokenizer.ggml.padding_token_id': u32(2),
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
    'tokenizer.ggml.add_space_prefix': { type: 'bool', value: false },
    'tokenizer.chat_template': text(
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    ...init.metadata
  }
  return writeGguf({ metadata: Object.entries(metadata), tensors })
}

/** Three control tokens, the 256 bytes in GPT-2's spelling, and a few merges; 300 tokens, filled up with unused ones. */
function toyTokenizer(): { tokens: string[]; types: number[]; merges: string[] } {
  const tokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', ...byteCharacters()]
  const types: number[] = tokens.map((_, id) => (id < 3 ? 3 : 1))
  const merges = [
    'h e',
    'l l',
    'he ll',
    'hell o',
    'Ġ w',
    'o r',
    'Ġw or',
    'l d',
    'Ġwor ld',
    'i n',
    't h',
    'th e'
  ]
  for (const merge of merges) {
    tokens.push(merge.replace(' ', ''))
    types.push(1)
  }
  // Type 5 is unused (llama.cpp, llama_token_type).
  while (tokens.length < 300) {
    types.push(5)
    tokens.push(`[unused${tokens.length}]`)
  }
  return { tokens, types, merges }
}

/** GPT-2's printable character for each byte (OpenAI, gpt-2, encoder.py). */
function byteCharacters(): string[] {
  const printable = (b: number): boolean =>
    (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff)
  let extra = 0
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : 256 + extra++))
}

/** Stores floats in a tensor type: plain rounding, no search for better scales. */
export function encode(type: ToyType, values: Float32Array): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.slice().buffer)
  if (type === 'F16') return new Uint8Array(Uint16Array.from(values, numberToHalf).buffer)
  if (type === 'BF16') {
    const words = new Uint32Array(values.slice().buffer)
    return new Uint8Array(Uint16Array.from(words, (w) => (w + 0x7fff + ((w >>> 16) & 1)) >>> 16).buffer)
  }
  const blocks: number[][] = []
  for (let at = 0; at < values.length; at += 32) blocks.push(encodeBlock(type, values.subarray(at, at + 32)))
  return Uint8Array.from(blocks.flat())
}

function encodeBlock(type: ToyType, values: Float32Array): number[] {
  const halfBytes = (value: number): number[] => {
    const bits = numberToHalf(value)
    return [bits & 255, bits >> 8]
  }
  const largest = Math.max(...values.map(Math.abs))
  if (type === 'Q8_0') {
    const d = largest / 127
    return [...halfBytes(d), ...Array.from(values, (v) => Math.round(d === 0 ? 0 : v / d) & 255)]
  }
  const bits = type.startsWith('Q4') ? 4 : 5
  const top = 2 ** bits - 1
  const affine = type.endsWith('_1')
  const low = affine ? Math.min(...values) : -largest
  const d = affine ? (Math.max(...values) - low) / top : largest / 2 ** (bits - 1)
  const q = Array.from(values, (v) =>
    Math.min(top, Math.max(0, Math.round(d === 0 ? 0 : affine ? (v - low) / d : v / d + 2 ** (bits - 1))))
  )
  let high = 0
  q.forEach((v, i) => (high |= (v >> 4) << i))
  const fifth = bits === 5 ? [high & 255, (high >>> 8) & 255, (high >>> 16) & 255, high >>> 24] : []
  const nibbles = Array.from(
    { length: 16 },
    (_, j) => ((q[j] as number) & 15) | (((q[j + 16] as number) & 15) << 4)
  )
  return [...halfBytes(d), ...(affine ? halfBytes(low) : []), ...fifth, ...nibbles]
}

import { expect, it } from 'vitest'
import { toyConfig, toyRows, toyTensors } from '../src/ggml/self-test-model.ts'
import { relativeError, toyResult } from '../src/ggml/self-test.ts'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource, readGguf, writeGguf } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import { asFloats, logitsOf } from './ggml-floats.ts'
import { manyKvHeads, oneKvHead, toyModel, type ToyModelInit } from './toy-model.ts'

const models: readonly (readonly [name: string, toy: ToyModelInit])[] = [
  ['Q4_1', { type: 'Q4_1' }],
  ['Q8_0 and a head of its own', { type: 'Q8_0', tiedHead: false }],
  ['as many kv heads as heads', { ...manyKvHeads, type: 'Q4_0' }],
  ['64 heads on one', { ...oneKvHead, type: 'Q5_0' }],
  ['rope factors', { type: 'F16', ropeFactors: [1, 1, 2, 2, 4, 4, 8, 8] }]
]

it.each(models)('agrees with the reference on float weights: %s', async (_, toy) => {
  const model = await asFloats(toyModel(toy))
  await using ggml = createGgmlBackend({ kvFormat: 'f32' })
  await using reference = createReferenceBackend({ kvFormat: 'f32' })
  const expected = await logitsOf(reference, model)
  const actual = await logitsOf(ggml, model, expected.tokens)
  expect(actual.logits).toHaveLength(64)
  for (const [i, row] of actual.logits.entries())
    expect(relativeError(row, expected.logits[i] as Float32Array)).toBeLessThan(1e-5)
})

it('holds the right result for its self-test', async () => {
  const vector = (length: number): Uint8Array => new Uint8Array(new Float32Array(length).fill(1).buffer)
  const { hiddenSize, vocabularySize } = toyConfig
  const plain = await readGguf(bytesSource(toyModel()))
  const u32 = (value: number) => ({ type: 'uint32', value }) as const
  const metadata = new Map(plain.metadata)
    .set('llama.block_count', u32(toyConfig.blockCount))
    .set('llama.attention.head_count', u32(toyConfig.headCount))
    .set('llama.attention.head_count_kv', u32(toyConfig.kvHeadCount))
    .set('llama.attention.key_length', u32(toyConfig.headSize))
    .set('llama.attention.value_length', u32(toyConfig.headSize))
    .set('llama.rope.dimension_count', u32(toyConfig.headSize))
  for (const key of plain.metadata.keys()) if (key.startsWith('tokenizer.')) metadata.delete(key)
  const tensors = [
    ...toyTensors().map(({ name, shape, f32 }) => ({ name, shape, data: new Uint8Array(f32.buffer) })),
    {
      name: 'token_embd.weight',
      shape: [hiddenSize, vocabularySize],
      data: vector(hiddenSize * vocabularySize)
    },
    { name: 'output_norm.weight', shape: [hiddenSize], data: vector(hiddenSize) }
  ].map((tensor) => ({ ...tensor, type: 'F32' as const }))
  const model = bytesSource(writeGguf({ metadata, tensors }))

  await using reference = createReferenceBackend({ kvFormat: 'f32' })
  const runner = await reference.loadBlocks(model, { from: 0, to: 2 })
  const session = await runner.open({ maxTokens: 6 })
  const [rows] = await runner.forward([{ session, past: 0, kernel: 'vec', hidden: toyRows(6) }])
  expect(relativeError((rows as Float32Array).slice(5 * hiddenSize), toyResult)).toBeLessThan(1e-6)
})

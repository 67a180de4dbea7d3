import { expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { relativeError } from '../src/ggml/self-test.ts'
import { bytesSource, fileSource, readGguf } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import { asFloats, logitsOf } from './ggml-floats.ts'

it('agrees with the reference on the default model in float weights, over 64 tokens', async () => {
  const file = await fileSource(process.env['KWAAI_MODEL_PATH'] as string)
  const bytes = await file.read(0, file.size)
  await file.close()
  const floats = await asFloats(bytes)
  expect((await readGguf(bytesSource(floats))).tensors.get('blk.0.attn_q.weight')?.type).toBe('F32')
  await using ggml = createGgmlBackend({ kvFormat: 'f32' })
  await using reference = createReferenceBackend({ kvFormat: 'f32' })
  // The reference makes the same floats of the quantised file as it goes.
  const expected = await logitsOf(reference, bytes)
  const actual = await logitsOf(ggml, floats, expected.tokens)
  const errors = actual.logits.map((row, i) => relativeError(row, expected.logits[i] as Float32Array))
  expect(errors).toHaveLength(64)
  expect(Math.max(...errors)).toBeLessThan(1e-5)
})

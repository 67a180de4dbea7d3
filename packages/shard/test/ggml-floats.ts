import type { BlockBackend } from '@kwaai/interface'
import { bytesSource, readGguf, writeGguf } from '../src/gguf/index.ts'
import { dequantize } from '../src/reference/index.ts'
import { argmax } from './ggml-kit.ts'

/** The same model with all weights as 32-bit floats. */
export async function asFloats(model: Uint8Array): Promise<Uint8Array> {
  const file = await readGguf(bytesSource(model))
  const tensors = [...file.tensors.values()].map(({ name, type, shape, offset, byteLength }) => {
    const floats = dequantize(type, model.subarray(offset, offset + byteLength))
    return { name, type: 'F32' as const, shape, data: new Uint8Array(floats.buffer) }
  })
  return writeGguf({ metadata: file.metadata, tensors })
}

/** Logits of 64 tokens: each of a prompt of 32 in one step, then 32 tokens one by one. */
export async function logitsOf(
  backend: BlockBackend,
  model: Uint8Array,
  choose?: readonly number[]
): Promise<{ logits: Float32Array[]; tokens: number[] }> {
  const source = bytesSource(model)
  const head = await backend.loadHead(source)
  const { blockCount, hiddenSize } = head.shape
  const runner = await backend.loadBlocks(source, { from: 0, to: blockCount })
  const session = await runner.open({ maxTokens: 64 })
  const tokens = Array.from({ length: 32 }, (_, i) => 3 + ((i * 37) % 250))
  const logits: Float32Array[] = []
  for (let past = 0; past < 64;) {
    const ids = past === 0 ? tokens : [tokens[past] as number]
    const hidden = await head.embed(ids)
    const [rows] = await runner.forward([{ session, past, kernel: 'vec', hidden }])
    if (!(rows instanceof Float32Array)) throw new Error('a step failed')
    for (let at = 0; at < rows.length; at += hiddenSize)
      logits.push(await head.logits(rows.subarray(at, at + hiddenSize)))
    past += ids.length
    tokens.push(choose?.[past] ?? argmax(logits.at(-1) as Float32Array))
  }
  return { logits, tokens }
}

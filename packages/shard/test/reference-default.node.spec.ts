import type { ByteSource } from '@kwaai/interface'
import { expect, test } from 'vitest'
import { createTokenizer } from '../src/generate/index.ts'
import { fileSource, readGguf, tensorRanges } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'

const prompt = `<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
<|im_start|>user
What is a peer-to-peer network?<|im_end|>
<|im_start|>assistant
`

test('the default model answers with float weights, in three parts that read their own bytes alone', async () => {
  const file = await fileSource(process.env['KWAAI_MODEL_PATH'] as string)
  const header = await readGguf(file)
  const tokenizer = createTokenizer(header)
  await using backend = createReferenceBackend()
  const head = await backend.loadHead(file)
  const parts = await Promise.all(
    [0, 10, 20].map((from) => {
      const part = { from, to: from + 10 }
      return backend.loadBlocks(
        only(file, [{ offset: 0, length: header.dataOffset }, ...tensorRanges(header, part)]),
        part
      )
    })
  )
  const sessions = await Promise.all(parts.map((runner) => runner.open({ maxTokens: 60 })))
  let past = 0
  const logitsAfter = async (ids: readonly number[]): Promise<Float32Array> => {
    let hidden = await head.embed(ids)
    for (const [i, runner] of parts.entries()) {
      const [rows] = await runner.forward([{ session: sessions[i] as number, past, hidden, kernel: 'vec' }])
      hidden = rows as Float32Array
    }
    past += ids.length
    return head.logits(hidden.slice(-head.shape.hiddenSize))
  }

  let logits = await logitsAfter(tokenizer.encodeWithControl(prompt))
  const answer: number[] = []
  // Weights dequantised to floats and the whole sequence in float32 give this token 0.908.
  const first = likeliest(logits)
  expect(tokenizer.decode([first])).toBe('A')
  expect(probability(logits, first)).toBeCloseTo(0.908, 2)
  for (let token = first; answer.push(token) < 6; token = likeliest(logits))
    logits = await logitsAfter([token])
  expect(tokenizer.decode(answer)).toBe('A peer-to-peer')
  await file.close()
}, 120_000)

/** A source that has some stretches of a file and no more. */
function only(file: ByteSource, ranges: readonly { offset: number; length: number }[]): ByteSource {
  return {
    size: file.size,
    read(offset, length, options) {
      const inside = ranges.some((r) => offset >= r.offset && offset + length <= r.offset + r.length)
      // The header is read in pieces that may reach into the data behind it.
      if (!inside && offset >= (ranges[0]?.length ?? 0)) throw new Error(`read ${length} bytes at ${offset}`)
      return file.read(offset, length, options)
    }
  }
}

function likeliest(logits: Float32Array): number {
  return logits.reduce((best, value, id) => (value > (logits[best] as number) ? id : best), 0)
}

function probability(logits: Float32Array, id: number): number {
  const top = logits[id] as number
  return 1 / logits.reduce((sum, value) => sum + Math.exp(value - top), 0)
}

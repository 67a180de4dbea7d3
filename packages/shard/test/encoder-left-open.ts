import { createOnnxEmbedder } from '../src/encoder/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { safetensorsFile, toyConfigJson, toyTokenizer, toyWeights } from './encoder-toy.ts'

// A process that embeds a text, and then has nothing left to do.
const weights = bytesSource(safetensorsFile(toyWeights()))
const embedder = await createOnnxEmbedder(
  { name: 'toy', maxBatchTokens: 65_536 },
  { weights, config: toyConfigJson, ...toyTokenizer() }
)
const { vectors } = await embedder.embed({ input: ['cat'] })
console.log(`${vectors[0]?.length} values`)
// Or ends at once, while the thread that encodes has a batch that takes a while.
if (process.argv[2] === 'exit') {
  const text = Array.from({ length: 10 }, (_, i) => i)
  const input = Array.from({ length: 2_000 }, () => text)
  embedder.embed({ input }).catch(() => undefined)
  setTimeout(() => process.exit(7), 5)
}

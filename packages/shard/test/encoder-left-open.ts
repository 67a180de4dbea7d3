import { createOnnxEmbedder } from '../src/encoder/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { safetensorsFile, toyConfigJson, toyTokenizer, toyWeights } from './encoder-toy.ts'

// A process that embeds a text, and then has nothing left to do.
const weights = bytesSource(safetensorsFile(toyWeights()))
const embedder = await createOnnxEmbedder(
  { name: 'toy' },
  { weights, config: toyConfigJson, ...toyTokenizer() }
)
const { vectors } = await embedder.embed({ input: ['cat'] })
console.log(`${vectors[0]?.length} values`)

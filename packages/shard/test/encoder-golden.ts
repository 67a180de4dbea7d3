import { expect } from 'vitest'
import {
  createOnnxEmbedder,
  createWordPieceTokenizer,
  type OnnxEmbedder,
  type OnnxEmbedderComponents,
  type OnnxEmbedderInit
} from '../src/encoder/index.ts'
import { cosine, lengthOf } from './encoder-kit.ts'
import golden from './vectors/minilm/golden.json' with { type: 'json' }

/** A text, its tokens and its vector, by other people's code: see vectors/minilm/README.md. */
export interface GoldenText {
  text: string
  ids: readonly number[]
  vector: Float32Array
}

const read = ({ text, ids, vector }: (typeof golden)['long']): GoldenText => ({
  text,
  ids,
  vector: new Float32Array(Uint8Array.from(atob(vector), (c) => c.charCodeAt(0)).buffer)
})

/** The 24 odd texts. */
export const goldenTexts: readonly GoldenText[] = golden.texts.map(read)
/** A text of 490 tokens. */
export const longText: GoldenText = read(golden.long)

/** The least cosine to the golden vectors that is right. */
const leastCosine = 0.999_99
/** The least cosine between a text's vector alone and in a batch. */
const leastBatchCosine = 0.999_999
const mostLengthError = 1e-5

/** An embedder of the default model. */
export function openMiniLm(
  files: OnnxEmbedderComponents,
  init: Partial<OnnxEmbedderInit> = {}
): Promise<OnnxEmbedder> {
  return createOnnxEmbedder({ name: 'all-minilm-l6-v2', ...init }, files)
}

/** Holds a tokenizer to the ids of the Rust library. */
export function expectGoldenTokens(files: OnnxEmbedderComponents): void {
  const tokenizer = createWordPieceTokenizer(files)
  for (const { text, ids } of [...goldenTexts, longText])
    expect(tokenizer.framed(tokenizer.encode(text)), text).toEqual(ids)
}

/** Holds an embedder to the golden vectors. @returns its own. */
export async function expectGoldenVectors(embedder: OnnxEmbedder): Promise<readonly Float32Array[]> {
  const { vectors, usage } = await embedder.embed({ input: goldenTexts.map(({ text }) => text) })
  expect(usage).toEqual({
    promptTokens: goldenTexts.reduce((sum, { ids }) => sum + ids.length, 0),
    completionTokens: 0,
    cachedTokens: 0
  })
  expect(vectors).toHaveLength(goldenTexts.length)
  for (const [i, { text, vector }] of goldenTexts.entries()) {
    const found = vectors[i] as Float32Array
    expect(found).toHaveLength(384)
    expect(cosine(found, vector), text).toBeGreaterThanOrEqual(leastCosine)
    expect(Math.abs(lengthOf(found) - 1), text).toBeLessThanOrEqual(mostLengthError)
  }
  return vectors
}

/** Holds the vectors of all texts together to those of each alone. */
export async function expectSameAlone(
  embedder: OnnxEmbedder,
  together: readonly Float32Array[]
): Promise<void> {
  for (const [i, { text }] of goldenTexts.entries()) {
    const alone = await embedder.embed({ input: [text] })
    const found = alone.vectors[0] as Float32Array
    expect(cosine(found, together[i] as Float32Array), text).toBeGreaterThanOrEqual(leastBatchCosine)
  }
}

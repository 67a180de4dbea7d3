import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import { beforeAll, test } from 'vitest'
import type { OnnxEmbedderComponents } from '../src/encoder/index.ts'
import { blobSource } from '../src/gguf/index.ts'
import { expectGoldenTokens, expectGoldenVectors, expectSameAlone, openMiniLm } from './encoder-golden.ts'
import { refused } from './encoder-kit.ts'

// As a page's own server would hand them out: `vitest.shared.ts` serves the model's folder.
const file = async (name: string): Promise<Response> => {
  const response = await fetch(`/kwaai-embedder/${name}`)
  if (!response.ok) throw new Error(`There is no ${name}: ${response.status}`)
  return response
}
const json = async (name: string): Promise<unknown> => (await file(name)).json()
// Where Vite serves it from.
const wasmPaths = { wasm }

let files: OnnxEmbedderComponents

beforeAll(async () => {
  files = {
    weights: blobSource(await (await file('model.safetensors')).blob()),
    config: await json('config.json'),
    tokenizer: await json('tokenizer.json'),
    tokenizerConfig: await json('tokenizer_config.json')
  }
})

test('tokens are those of the Rust tokenizer, in Chromium', () => expectGoldenTokens(files))

test('vectors are the golden ones, alone and in a batch: f32 on WASM', { timeout: 90_000 }, async () => {
  await using embedder = await openMiniLm(files, { wasmPaths })
  await expectSameAlone(embedder, await expectGoldenVectors(embedder))
})

test('vectors are the golden ones: f16 on WASM, as long as it is open', { timeout: 90_000 }, async () => {
  const half = await openMiniLm(files, { format: 'f16', wasmPaths })
  await expectGoldenVectors(half)
  await half[Symbol.asyncDispose]()
  await refused(half.embed({ input: ['cat'] }), 'ERR_BACKEND_CLOSED')
})

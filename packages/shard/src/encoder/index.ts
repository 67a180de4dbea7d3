/**
 * Texts to vectors, with an encoder such as all-MiniLM-L6-v2 on ONNX Runtime, in Node.js and browsers.
 *
 * ```ts no-run
 * import { createOnnxEmbedder } from '@kwaai/shard/encoder'
 * import { httpSource } from '@kwaai/shard/gguf'
 *
 * const at = 'https://models.example/all-minilm-l6-v2'
 * const json = async (file: string): Promise<unknown> => (await fetch(`${at}/${file}`)).json()
 * await using embedder = await createOnnxEmbedder(
 *   { name: 'all-minilm-l6-v2' },
 *   {
 *     weights: await httpSource(`${at}/model.safetensors`),
 *     config: await json('config.json'),
 *     tokenizer: await json('tokenizer.json'),
 *     tokenizerConfig: await json('tokenizer_config.json')
 *   }
 * )
 * const { vectors, usage } = await embedder.embed({ input: ['a cat on a mat', 'a feline on a rug'] })
 * console.log(vectors[0]?.length, usage.promptTokens)
 * ```
 *
 * @packageDocumentation
 */
export { createOnnxEmbedder, type OnnxEmbedder, type OnnxEmbedderComponents } from './embedder.ts'
export { defaultMaxTokens, type OnnxEmbedderInit } from './embedder-init.ts'
export { createWordPieceTokenizer, type WordPieceFiles, type WordPieceTokenizer } from './wordpiece.ts'
export { bertConfig, type BertConfig } from './bert-config.ts'
export { bertEncoderModel, buildBertEncoder, type BertEncoderInit } from './bert-graph.ts'
export type { EncoderFormat } from './bert-weights.ts'
export {
  readSafetensors,
  type ReadSafetensorsOptions,
  type SafetensorsFile,
  type SafetensorsTensor,
  type SafetensorsType
} from './safetensors.ts'
export type { EncoderSession, EncoderSessionInit, OpenEncoderSession, WasmPaths } from './session.ts'
export type { EncoderInput } from './batches.ts'

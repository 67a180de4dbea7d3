/**
 * Text generation: tokens, chat templates, sampling, stop strings, and a language model over the blocks of a
 * model, wherever they run.
 *
 * ```ts
 * import { createTextModel, localBlocks } from '@kwaai/shard/generate'
 * import { createGgmlBackend } from '@kwaai/shard/ggml'
 * import { fileSource, readGguf } from '@kwaai/shard/gguf'
 *
 * const source = await fileSource(process.env['KWAAI_MODEL_PATH'] ?? 'model.gguf')
 * const file = await readGguf(source)
 * await using backend = createGgmlBackend()
 * await using head = await backend.loadHead(source)
 * await using runner = await backend.loadBlocks(source, { from: 0, to: head.shape.blockCount })
 * await using model = createTextModel({ id: 'smollm2' }, { file, head, blocks: localBlocks(runner) })
 * const messages = [{ role: 'user' as const, content: 'Hello' }]
 * for await (const event of model.chat({ messages, maxTokens: 8 })) console.log(event)
 * ```
 *
 * @packageDocumentation
 */
export { createTextModel, type TextModel } from './text-model.ts'
export type { TextModelComponents, TextModelInit } from './text-model-init.ts'
export { localBlocks, type LocalBlocksOptions } from './local-blocks.ts'
export type { BlockPipeline, BlockPipelineInit, BlockPipelineSource, PipelineStep } from './pipeline.ts'
export { createTokenizer, createVocabularyTokenizer, type Tokenizer } from './tokenizer.ts'
export { readVocabulary, type Vocabulary } from './vocabulary.ts'
export { preTokenizerNames, preTokenizerOf, type PreTokenizer } from './pre-tokenizers.ts'
export { specialTokens, type TokenKind } from './special-tokens.ts'
export { createDetokenizer, type Detokenizer } from './detokenizer.ts'
export {
  createChatTemplate,
  parseChatTemplate,
  type ChatTemplate,
  type ChatTemplateComponents,
  type ChatTemplateOptions,
  type ChatTemplateTools
} from './chat-template.ts'
export { hermesFormat, llamaFormat, toolFormatOf, type ToolFormat } from './tool-format.ts'
export { defaultTemplateLimits, type TemplateLimits } from './template-limits.ts'
export { createSampler, type Sampler, type SamplerOptions } from './sampler.ts'
export { createStopStrings, type StopStrings } from './stop-strings.ts'
export type {
  CompiledGrammar,
  GrammarCompiler,
  GrammarEngine,
  GrammarMatcher,
  GrammarRule,
  GrammarVocabulary,
  TagRule
} from './grammar.ts'

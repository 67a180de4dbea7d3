import type { Clock, HeadRunner, Random } from '@kwaai/interface'
import type { GgufFile } from '../gguf/index.ts'
import { createChatTemplate, type ChatTemplate } from './chat-template.ts'
import { invalid } from './generation-request.ts'
import type { GrammarEngine, GrammarVocabulary } from './grammar.ts'
import type { BlockPipelineSource } from './pipeline.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'

/** How a model presents itself and what it allows. */
export interface TextModelInit {
  /** The name callers ask for. */
  id: string
  /** Seconds since 1970 UTC. Default: now. */
  created?: number
  /** Default `kwaai`. */
  ownedBy?: string
  /** Longest prompt and answer together, in tokens. Default and maximum: what the model was made for. */
  contextLength?: number
  /** Tokens of an answer at most where the request names no number: its room is taken at every server. Default 2,048. */
  answerTokens?: number
  /** Rows of a prompt in one step. Default 64. */
  prefillRows?: number
  /** Steps of a prompt under way at once. Default 16. */
  prefillSteps?: number
  /** Answers under way at once. Default 8. */
  maxConcurrent?: number
  /** Answers to one request at most. Default 16. */
  maxAnswers?: number
  /** Requests that wait for their turn beyond these; callers take turns. Default 32. */
  maxWaiting?: number
  /** When to come back if the line is full and no answer was timed yet, in milliseconds. Default 1,000. */
  retryAfterMs?: number
  /** Sessions kept for the next requests of their callers; 0 keeps none. Default 8. */
  maxPrefixes?: number
  /** Tokens for which they hold room at the servers, all together. Default 16,384. */
  maxPrefixTokens?: number
  /** Milliseconds one is kept. Default 60,000: half of what servers wait for a word. */
  prefixTtlMs?: number
}

/** What a model is made of: its tokenizer and template, or the file that has them. */
export type TextModelComponents = {
  head: HeadRunner
  blocks: BlockPipelineSource
  /** Holds answers to grammars; without it constraints and tools are refused by name. */
  grammar?: GrammarEngine
  clock?: Clock
  random?: Random
} & ({ file: GgufFile } | { tokenizer: Tokenizer; template: ChatTemplate | undefined })

/** @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST` for a number that is below the least one. */
export function checkCounts(counts: Readonly<Record<string, number>>, least: 0 | 1): void {
  for (const [param, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw invalid(param, `it has to be a ${least === 1 ? 'positive' : 'non-negative'} integer`)
    }
  }
}

/** What of a model is text. */
export function endsOf(
  components: TextModelComponents,
  clock: Clock
): { tokenizer: Tokenizer; template: ChatTemplate | undefined } {
  if ('tokenizer' in components) return components
  const { file } = components
  const tokenizer = createTokenizer(file)
  const template = file.metadata.has('tokenizer.chat_template')
    ? createChatTemplate(file, { tokenizer, clock })
    : undefined
  return { tokenizer, template }
}

/** The tokens of a model, as a grammar sees them. */
export function vocabularyOf(tokenizer: Tokenizer): GrammarVocabulary {
  const { vocabularySize: size, endTokens, bytes, isControl } = tokenizer
  return { size, endTokens, bytes, isControl }
}

import {
  KwaaiError,
  type CallOptions,
  type ChatRequest,
  type Clock,
  type CompletionRequest,
  type GenerationEvent,
  type HeadRunner,
  type LanguageModel,
  type Random
} from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { shardError } from '../errors.ts'
import type { GgufFile } from '../gguf/index.ts'
import { createChatTemplate, type ChatTemplate } from './chat-template.ts'
import { generateTokens } from './generate.ts'
import {
  checkMessages,
  checkOptions,
  checkPrompt,
  invalid,
  unsupported,
  type CheckedOptions
} from './generation-request.ts'
import type { BlockPipelineSource } from './pipeline.ts'
import { createPrefixPool } from './prefix-pool.ts'
import { defaultTemplateLimits } from './template-limits.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'
import { createWaitingLine } from './waiting-line.ts'

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
  clock?: Clock
  random?: Random
} & ({ file: GgufFile } | { tokenizer: Tokenizer; template: ChatTemplate | undefined })

/** A language model that keeps sessions between requests: dispose of it when it is no longer asked. */
export interface TextModel extends LanguageModel, AsyncDisposable {}

/**
 * A language model over the blocks of one model, wherever they are: the two ends and the sampling here, the
 * blocks behind a {@link BlockPipelineSource}.
 *
 * A prompt that leaves no room for an answer is refused; an answer ends with `length` where the context ends,
 * or after `answerTokens` where the request names no number. A server that fails is `ERR_MODEL_UNAVAILABLE`, with
 * the failure as its `cause`.
 * The token that ends an answer is counted and handed out like the others, without text.
 *
 * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST` for limits that make no sense, and what
 * {@link createTokenizer} and {@link createChatTemplate} throw.
 */
export function createTextModel(init: TextModelInit, components: TextModelComponents): TextModel {
  const { head, blocks, clock = systemClock, random = systemRandom } = components
  const { id, ownedBy = 'kwaai', created = Math.floor(clock.now() / 1000) } = init
  const { prefillRows = 64, prefillSteps = 16, maxConcurrent = 8, retryAfterMs = 1_000 } = init
  const { answerTokens = 2_048 } = init
  const { tokenizer, template } = endsOf(components, clock)
  const contextLength = Math.min(init.contextLength ?? Infinity, head.shape.contextLength)
  const { maxWaiting = 32, maxPrefixes = 8, maxPrefixTokens = 16_384, prefixTtlMs = 60_000 } = init
  const counts = { prefillRows, prefillSteps, maxConcurrent, contextLength, answerTokens, retryAfterMs }
  checkCounts({ ...counts, prefixTtlMs }, 1)
  checkCounts({ maxWaiting, maxPrefixes, maxPrefixTokens }, 0)
  const maxCharacters = defaultTemplateLimits.maxCharacters
  const pool = createPrefixPool(
    { contextLength, maxPrefixes, maxPrefixTokens, prefixTtlMs },
    { blocks, clock }
  )
  const line = createWaitingLine({ maxActive: maxConcurrent, maxWaiting, retryAfterMs }, { clock })
  const checking = { vocabularySize: tokenizer.vocabularySize, routes: blocks.routes === true }

  async function* generate(
    prompt: readonly number[],
    options: CheckedOptions,
    call: CallOptions
  ): AsyncGenerator<GenerationEvent> {
    const promptTokens = prompt.length
    const maxTokens = Math.min(options.maxTokens ?? answerTokens, contextLength - promptTokens)
    // The last token chosen is never run.
    const rows = Math.max(1, promptTokens + maxTokens - 1)
    const { caller, route } = options
    await using session = await pool.open({ prompt, maxTokens: rows, caller, constraints: route }, call)
    const { chain, relaxed, cachedTokens } = session
    yield { type: 'start', promptTokens, chain, ...(relaxed === undefined ? {} : { relaxed }) }
    let completionTokens = 0
    if (maxTokens === 0) yield { type: 'finish', index: 0, reason: 'length' }
    else {
      const parts = {
        head,
        session,
        random,
        detokenizer: tokenizer.detokenizer(),
        endTokens: tokenizer.endTokens
      }
      const plan = { rows: prefillRows, steps: prefillSteps }
      for await (const piece of generateTokens(prompt, { ...options, maxTokens }, plan, parts, call)) {
        completionTokens++
        yield { type: 'text', index: 0, text: piece.text, tokens: [piece.token] }
        if (piece.finish !== undefined) yield { type: 'finish', index: 0, reason: piece.finish }
        call.signal?.throwIfAborted()
      }
    }
    yield { type: 'usage', usage: { promptTokens, completionTokens, cachedTokens } }
  }

  /** Lets a generation run when it is its turn, and gives every failure a code. */
  async function* admitted(
    begin: () => { prompt: readonly number[]; options: CheckedOptions },
    call: CallOptions
  ): AsyncGenerator<GenerationEvent> {
    call.signal?.throwIfAborted()
    let leave: (() => void) | undefined
    try {
      const { prompt, options } = begin()
      checkFits(prompt.length, contextLength)
      leave = await line.enter(options.caller ?? '', call)
      call.signal?.throwIfAborted()
      yield* generate(prompt, options, call)
    } catch (error) {
      call.signal?.throwIfAborted()
      if (KwaaiError.is(error)) throw lostServer(error) ? broken(error, retryAfterMs) : error
      throw shardError(
        'ERR_GENERATE_FAILED',
        `Cannot go on: ${error instanceof Error ? error.message : 'a part failed'}`,
        {
          cause: error
        }
      )
    } finally {
      leave?.()
    }
  }

  return {
    specification: 'kwaai.language-model/1',
    describe: async () => ({ id, created, ownedBy, contextLength, ready: blocks.ready() }),
    chat: (request: ChatRequest, call = {}) =>
      admitted(() => {
        const options = checkOptions(request, checking)
        checkMessages(request.messages, maxCharacters)
        if (template === undefined) throw unsupported('messages', 'chats: it has no chat template')
        return { prompt: encodeChat(template, request), options }
      }, call),
    complete: (request: CompletionRequest, call = {}) =>
      admitted(() => {
        const options = checkOptions(request, checking)
        checkPrompt(request, { maxCharacters, vocabularySize: tokenizer.vocabularySize })
        const { firstToken } = tokenizer
        const asked = request.prompt
        const prompt =
          typeof asked === 'string'
            ? [...(firstToken === undefined ? [] : [firstToken]), ...tokenizer.encode(asked)]
            : [...asked]
        if (prompt.length === 0) throw invalid('prompt', 'it is empty')
        return { prompt, options }
      }, call),
    embed: async () => {
      throw unsupported('input', 'embeddings')
    },
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]()
  }
}

function checkFits(promptTokens: number, contextLength: number): void {
  if (promptTokens >= contextLength) {
    throw shardError(
      'ERR_MODEL_CONTEXT_EXCEEDED',
      `Cannot generate: the prompt has ${promptTokens} tokens, and the context of ${contextLength} has to hold the answer too`,
      { details: { promptTokens, contextLength } }
    )
  }
}

function checkCounts(counts: Readonly<Record<string, number>>, least: 0 | 1): void {
  for (const [param, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw invalid(param, `it has to be a ${least === 1 ? 'positive' : 'non-negative'} integer`)
    }
  }
}

function endsOf(
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

function encodeChat(template: ChatTemplate, { messages }: ChatRequest): number[] {
  try {
    return template.encode(messages)
  } catch (error) {
    if (KwaaiError.is(error, 'ERR_TEMPLATE_REFUSED')) throw invalid('messages', error.message, error)
    throw error
  }
}

/** True for what went wrong at a server: such an error names the peer. */
function lostServer(error: KwaaiError): boolean {
  return error.code.startsWith('ERR_SHARD_') && typeof error.details['peer'] === 'string'
}

/** A chain that broke, in the words every language model uses: another try may find another chain. */
function broken(cause: KwaaiError, retryAfterMs: number): Error {
  const details = { retryAfterMs, ...cause.details }
  return shardError('ERR_MODEL_UNAVAILABLE', cause.message, { cause, details })
}

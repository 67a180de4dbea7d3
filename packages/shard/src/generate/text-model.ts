import {
  KwaaiError,
  type CallOptions,
  type ChatRequest,
  type CompletionRequest,
  type GenerationEvent,
  type HopAccount,
  type LanguageModel,
  type RouteConstraints
} from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { shardError } from '../errors.ts'
import { answerRules, type AnswerRules } from './answer-rules.ts'
import { makeAnswers } from './answers.ts'
import { encodeChat } from './chat-prompt.ts'
import { checkTools } from './check-tools.ts'
import { generateAnswer } from './generate.ts'
import {
  checkMessages,
  checkOptions,
  checkPrompt,
  checkRoute,
  invalid,
  unsupported,
  type CheckedOptions
} from './generation-request.ts'
import type { CompiledGrammar } from './grammar.ts'
import { createGrammars } from './grammars.ts'
import { sumOfAccounts } from './hop-accounts.ts'
import { createPrefixPool } from './prefix-pool.ts'
import { defaultTemplateLimits } from './template-limits.ts'
import {
  checkCounts,
  endsOf,
  vocabularyOf,
  type TextModelComponents,
  type TextModelInit
} from './text-model-init.ts'
import { hermesFormat } from './tool-format.ts'
import { createWaitingLine } from './waiting-line.ts'

/** What a request comes down to. */
interface Task extends AnswerRules {
  prompt: readonly number[]
  options: CheckedOptions
}

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
  const { answerTokens = 2_048, maxAnswers = 16 } = init
  const { tokenizer, template } = endsOf(components, clock)
  const contextLength = Math.min(init.contextLength ?? Infinity, head.shape.contextLength)
  const { maxWaiting = 32, maxPrefixes = 8, maxPrefixTokens = 16_384, prefixTtlMs = 60_000 } = init
  const counts = { prefillRows, prefillSteps, maxConcurrent, contextLength, answerTokens, retryAfterMs }
  checkCounts({ ...counts, prefixTtlMs, maxAnswers }, 1)
  checkCounts({ maxWaiting, maxPrefixes, maxPrefixTokens }, 0)
  const maxCharacters = defaultTemplateLimits.maxCharacters
  const pool = createPrefixPool(
    { contextLength, maxPrefixes, maxPrefixTokens, prefixTtlMs },
    { blocks, clock }
  )
  const line = createWaitingLine({ maxActive: maxConcurrent, maxWaiting, retryAfterMs }, { clock })
  const grammars =
    components.grammar === undefined ? undefined : createGrammars(components.grammar, vocabularyOf(tokenizer))
  const abilities = {
    vocabularySize: tokenizer.vocabularySize,
    routes: blocks.routes === true,
    grammar: grammars !== undefined,
    maxAnswers
  }
  const explain = blocks.explain?.bind(blocks)
  const prefill = { rows: prefillRows, steps: prefillSteps }

  async function* generate(
    { prompt, options, calls }: Task,
    compiled: CompiledGrammar | undefined,
    turn: (call: CallOptions) => Promise<void>,
    call: CallOptions
  ): AsyncGenerator<GenerationEvent> {
    const promptTokens = prompt.length
    const { caller, route, n = 1 } = options
    const maxTokens = Math.min(options.maxTokens ?? answerTokens, contextLength - promptTokens)
    // The last token chosen is never run.
    const rows = Math.max(1, promptTokens + maxTokens - 1)
    const wanted = { prompt, maxTokens: rows, constraints: route }
    await using session = await pool.open({ ...wanted, caller }, call)
    const { chain, relaxed, cachedTokens } = session
    yield { type: 'start', promptTokens, chain, ...(relaxed === undefined ? {} : { relaxed }) }

    // Each place runs the prompt once: a long one costs more than short answers side by side gain.
    const maxAtOnce = promptTokens > maxTokens ? 1 : Math.max(1, maxConcurrent >> 1)
    const accounts: (readonly HopAccount[] | undefined)[] = []
    let completionTokens = 0
    const answers = makeAnswers(
      { prompt, count: n, maxAtOnce },
      {
        session,
        answer: (index, from, own, running) =>
          generateAnswer(
            prompt,
            { index, from, options: seeded({ ...options, maxTokens }, index), calls, prefill },
            { head, session: own, random, tokenizer, grammar: compiled },
            running
          ),
        async open(own) {
          // What one session holds serves its caller next; more of the same would not.
          const further = await pool.open(wanted, own)
          // What was given up has been told already.
          if (String(further.relaxed ?? '') === String(relaxed ?? '')) return further
          await further[Symbol.asyncDispose]()
          return undefined
        },
        turn,
        place: line.tryEnter,
        crowded: () => line.waiting > 0,
        closing: (further) => accounts.push(further.account())
      },
      call
    )
    for await (const event of answers) {
      if ('tokens' in event) completionTokens += event.tokens.length
      yield event
      call.signal?.throwIfAborted()
    }
    accounts.unshift(session.account())
    const hops = sumOfAccounts(accounts.flatMap((account) => account ?? []))
    const usage = { promptTokens, completionTokens, cachedTokens }
    yield { type: 'usage', usage, ...(accounts[0] === undefined ? {} : { hops }) }
  }

  /** Lets a generation run when it is its turn, and gives every failure a code. */
  async function* admitted(begin: () => Task, call: CallOptions): AsyncGenerator<GenerationEvent> {
    call.signal?.throwIfAborted()
    let leave: (() => void) | undefined
    let caller = ''
    const turn = async (own: CallOptions): Promise<void> => {
      if (leave !== undefined) leave = await line.again(caller, leave, own)
    }
    let compiled: CompiledGrammar | undefined
    try {
      const task = begin()
      checkFits(task.prompt.length, contextLength)
      caller = task.options.caller ?? ''
      leave = await line.enter(caller, call)
      call.signal?.throwIfAborted()
      // In its own place: as many grammars are made at once as answers are.
      if (task.rule !== undefined) compiled = await grammars?.compile(task.rule, call)
      call.signal?.throwIfAborted()
      yield* generate(task, compiled, turn, call)
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
      compiled?.dispose()
      leave?.()
    }
  }

  /** The tokens of a chat, with what its tools ask of the answer. */
  const chatTask = (request: ChatRequest): Task => {
    const options = checkOptions(request, abilities)
    const tools = checkTools(request)
    if (tools !== undefined && grammars === undefined) throw unsupported('tools')
    checkMessages(request.messages, maxCharacters)
    if (template === undefined) throw unsupported('messages', 'chats: it has no chat template')
    const rules = answerRules(request.constraint, tools, template.toolFormat ?? hermesFormat)
    return { prompt: encodeChat(template, request, tools), options, ...rules }
  }

  return {
    specification: 'kwaai.language-model/1',
    async describe() {
      const coverage = blocks.coverage?.()
      const known = { id, created, ownedBy, contextLength, ready: blocks.ready() }
      return { ...known, ...(coverage === undefined ? {} : { coverage }) }
    },
    ...(explain === undefined
      ? {}
      : {
          async explain(route: RouteConstraints = {}, call: CallOptions = {}) {
            checkRoute(route)
            const maxTokens = Math.min(answerTokens, contextLength)
            return explain({ maxTokens, constraints: route }, call)
          }
        }),
    chat: (request: ChatRequest, call = {}) => admitted(() => chatTask(request), call),
    complete: (request: CompletionRequest, call = {}) =>
      admitted(() => {
        const options = checkOptions(request, abilities)
        checkPrompt(request, { maxCharacters, vocabularySize: tokenizer.vocabularySize })
        const { firstToken } = tokenizer
        const asked = request.prompt
        const prompt =
          typeof asked === 'string'
            ? [...(firstToken === undefined ? [] : [firstToken]), ...tokenizer.encode(asked)]
            : [...asked]
        if (prompt.length === 0) throw invalid('prompt', 'it is empty')
        return { prompt, options, rule: request.constraint }
      }, call),
    embed: async () => {
      throw unsupported('input', 'embeddings')
    },
    async [Symbol.asyncDispose]() {
      grammars?.[Symbol.dispose]()
      await pool[Symbol.asyncDispose]()
    }
  }
}

/** The k-th answer of a seeded request has a seed of its own. */
function seeded<T extends CheckedOptions>(options: T, index: number): T {
  return options.seed === undefined ? options : { ...options, seed: options.seed + index }
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

/** True for what went wrong at a server: such an error names the peer. */
function lostServer(error: KwaaiError): boolean {
  return error.code.startsWith('ERR_SHARD_') && typeof error.details['peer'] === 'string'
}

/** A chain that broke, in the words every language model uses: another try may find another chain. */
function broken(cause: KwaaiError, retryAfterMs: number): Error {
  const details = { retryAfterMs, ...cause.details }
  return shardError('ERR_MODEL_UNAVAILABLE', cause.message, { cause, details })
}

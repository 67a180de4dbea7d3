/** Made-up blocks and head with arithmetic that can be followed by hand, and what tests ask of a model. */
import type {
  CallOptions,
  GenerationEvent,
  HeadRunner,
  HopAccount,
  ModelShape,
  RouteConstraints,
  TokenLogprobs,
  Usage
} from '@kwaai/interface'
import type {
  BlockPipeline,
  BlockPipelineInit,
  BlockPipelineSource,
  PipelineStep,
  Tokenizer
} from '../src/generate/index.ts'

/** Everything a model asked of its blocks. */
export interface Trace {
  opened: number[]
  steps: (Omit<PipelineStep, 'hidden'> & { rows: number })[]
  closed: number
  /** Most steps under way at once. */
  overlap: number
  /** What each session was opened for, besides its size. */
  constraints: (RouteConstraints | undefined)[]
  /** Fails the session opened as number `index`, as a server that goes away would. */
  fail(index: number): void
}

/** How the made-up blocks behave. */
export interface ScriptOptions {
  /** Called before a step is answered. */
  before?: (step: PipelineStep, options: CallOptions | undefined) => Promise<void> | void
  open?: (init: BlockPipelineInit) => Promise<void> | void
  ready?: () => boolean
  routes?: boolean
}

/**
 * Hidden rows are one wide: the token's id. The blocks hand back the sum of all rows so far, of which a `tile`
 * row adds a little more than a `vec` row of the same token.
 */
export function scriptedBlocks(options: ScriptOptions = {}): { blocks: BlockPipelineSource; trace: Trace } {
  const ends: AbortController[] = []
  const trace: Trace = {
    opened: [],
    steps: [],
    closed: 0,
    overlap: 0,
    constraints: [],
    fail: (index) => ends[index]?.abort()
  }
  const blocks: BlockPipelineSource = {
    ready: options.ready ?? (() => true),
    ...(options.routes === undefined ? {} : { routes: options.routes }),
    async open(init) {
      await options.open?.(init)
      const { maxTokens } = init
      trace.opened.push(maxTokens)
      trace.constraints.push(init.constraints)
      const end = new AbortController()
      ends.push(end)
      const held: number[] = []
      let underWay = 0
      let closed = false
      let taken = 0
      const pipeline: BlockPipeline = {
        chain: [{ peer: 'scripted', from: 0, to: 1, numericsClass: 'script' }],
        ended: end.signal,
        account: () => [{ peer: 'scripted', from: 0, to: 1, numericsClass: 'script', steps: taken }],
        async forward(step, call) {
          taken++
          if (closed || end.signal.aborted) throw new Error('the pipeline is closed')
          if (step.past > held.length) throw new Error(`past is ${step.past} of ${held.length} rows`)
          held.length = step.past
          trace.steps.push({
            past: step.past,
            kernel: step.kernel,
            result: step.result,
            rows: step.hidden.length
          })
          const more = step.kernel === 'tile' ? 0.125 : 0
          held.push(...step.hidden.map((value) => value + more))
          if (held.length > maxTokens) throw new Error('more rows than announced')
          const result = Float32Array.of(held.reduce((sum, value) => sum + value, 0))
          trace.overlap = Math.max(trace.overlap, ++underWay)
          try {
            await options.before?.(step, call)
          } finally {
            underWay--
          }
          return step.result === 'none' ? new Float32Array() : result
        },
        [Symbol.asyncDispose]: async () => {
          closed = true
          end.abort()
          trace.closed++
        }
      }
      return pipeline
    }
  }
  return { blocks, trace }
}

const shape = (vocabularySize: number, contextLength: number): ModelShape => ({
  architecture: 'script',
  blockCount: 1,
  hiddenSize: 1,
  headCount: 1,
  kvHeadCount: 1,
  headSize: 1,
  vocabularySize,
  contextLength
})

/** A head that wants the tokens of a script, one after the other, whatever the rows say. */
export function scriptedHead(
  tokenizer: Tokenizer,
  script: readonly number[],
  contextLength = 512
): HeadRunner {
  let place = 0
  return {
    shape: shape(tokenizer.vocabularySize, contextLength),
    embed: async (ids) => Float32Array.from(ids),
    logits: async () => {
      const logits = new Float32Array(tokenizer.vocabularySize)
      logits[script[place++ % script.length] as number] = 10
      return logits
    },
    [Symbol.asyncDispose]: async () => undefined
  }
}

/** A head whose favourite follows from the row: sum of all tokens so far, times 7, plus 3. */
export function countingHead(tokenizer: Tokenizer, contextLength = 512): HeadRunner {
  const size = tokenizer.vocabularySize
  return {
    shape: shape(size, contextLength),
    embed: async (ids) => Float32Array.from(ids),
    logits: async (hidden) => {
      const favourite = ((hidden[0] as number) * 7 + 3) % size
      return Float32Array.from({ length: size }, (_, id) => -Math.abs(id - favourite) / 4)
    },
    [Symbol.asyncDispose]: async () => undefined
  }
}

/** One of several answers. */
export interface Answer {
  text: string
  tokens: number[]
  reason: string | undefined
  logprobs: TokenLogprobs[]
  calls: { id: string | undefined; name: string | undefined; arguments: string }[]
}

/** Reads a run to its end, each answer apart from the others, in the order of their indices. */
export async function answersOf(events: AsyncIterable<GenerationEvent>): Promise<{
  answers: Answer[]
  usage: Usage | undefined
  hops: readonly HopAccount[] | undefined
  order: number[]
}> {
  const answers: Answer[] = []
  const order: number[] = []
  let usage: Usage | undefined
  let hops: readonly HopAccount[] | undefined
  for await (const event of events) {
    if (event.type === 'usage') ({ usage, hops } = event)
    if (!('index' in event)) continue
    order.push(event.index)
    const answer = (answers[event.index] ??= {
      text: '',
      tokens: [],
      reason: undefined,
      logprobs: [],
      calls: []
    })
    if (answer.reason !== undefined) throw new Error(`answer ${event.index} goes on after its end`)
    if (event.type === 'finish') answer.reason = event.reason
    else answer.tokens.push(...event.tokens)
    if (event.type === 'text') {
      answer.text += event.text
      answer.logprobs.push(...(event.logprobs ?? []))
    } else if (event.type === 'tool-call') {
      const { id, name } = event
      const call = (answer.calls[event.call] ??= { id, name, arguments: '' })
      call.arguments += event.arguments
    }
  }
  return { answers, usage, hops, order }
}

/** What a run told, put together. */
export interface Outcome {
  text: string
  texts: string[]
  tokens: number[]
  reason: string | undefined
  usage: Usage | undefined
  types: string
}

/** Reads a run to its end. */
export async function outcomeOf(events: AsyncIterable<GenerationEvent>): Promise<Outcome> {
  const outcome: Outcome = { text: '', texts: [], tokens: [], reason: undefined, usage: undefined, types: '' }
  for await (const event of events) {
    outcome.types += event.type[0]
    if (event.type === 'text') {
      outcome.text += event.text
      outcome.texts.push(event.text)
      outcome.tokens.push(...event.tokens)
    }
    if (event.type === 'finish') outcome.reason = event.reason
    if (event.type === 'usage') outcome.usage = event.usage
  }
  return outcome
}

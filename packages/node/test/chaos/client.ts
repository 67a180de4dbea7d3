/** The client process of the chaos: eight callers at once, each answer measured. */
import { createHash } from 'node:crypto'
import { KwaaiError, type ChatMessage } from '@kwaai/interface'
import { createNode } from '../../src/index.ts'
import { greedy } from '../greedy.ts'
import { answerCalls } from '../ipc.ts'
import { prepareChild, type Common } from './child.ts'

const { init, components, calls: common } = prepareChild()
const starting = createNode(init.node, components)
starting.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})

/** One question of one caller. */
export interface GenerateRequest {
  caller: number
  way: 'chat' | 'blocks'
  messages: ChatMessage[]
  prompt: readonly number[]
  count: number
  leaveAt: number | undefined
  /** Milliseconds without a token after which it hangs. */
  hangMs: number
}

/** What became of it. */
export interface GenerateResult {
  outcome: 'answer' | 'left' | 'refused' | 'crashed' | 'hung'
  tokens: number[]
  /** SHA-256 of the logits that gave the last token, where they are at hand. */
  lastLogits?: string
  code?: string
  message?: string
  /** Milliseconds in all, to the first token, the longest between two tokens, and since the last news. */
  ms: number
  firstMs: number
  stallMs: number
  silentMs: number
}

/** What the parent may ask of the client process. */
export type ClientCalls = Common & {
  ready: () => Promise<void>
  generate: (request: GenerateRequest) => Promise<GenerateResult>
  explain: () => Promise<string>
  stop: () => Promise<void>
}

class Left extends Error {}

async function generate(request: GenerateRequest): Promise<GenerateResult> {
  const node = await starting
  const ending = new AbortController()
  const { signal } = ending
  const tokens: number[] = []
  const startedAt = performance.now()
  let newsAt = startedAt
  let firstMs = 0
  let stallMs = 0
  const onToken = (token: number): void => {
    const now = performance.now()
    if (tokens.length === 0) firstMs = now - startedAt
    else stallMs = Math.max(stallMs, now - newsAt)
    newsAt = now
    tokens.push(token)
    if (tokens.length === request.leaveAt) ending.abort(new Left('the caller left'))
  }
  const chat = async (): Promise<undefined> => {
    const { messages, count: maxTokens, caller } = request
    const question = { messages, maxTokens, temperature: 0, caller: `caller-${caller}` }
    for await (const event of node.model.chat(question, { signal })) {
      if (event.type === 'text') event.tokens.forEach(onToken)
    }
  }
  const blocks = async (): Promise<string> => {
    const head = await node.head({ signal })
    const run = await greedy(node.blocks, head, request.prompt, request.count, 64, { signal, onToken })
    return hashOf(run.last)
  }

  let watch: NodeJS.Timeout | undefined
  const hung = new Promise<'hung'>((resolve) => {
    watch = setInterval(() => {
      if (performance.now() - newsAt < request.hangMs) return
      resolve('hung')
      ending.abort(new Error('it hangs'))
    }, 1_000)
  })
  const measured = (): Pick<GenerateResult, 'tokens' | 'ms' | 'firstMs' | 'stallMs' | 'silentMs'> => {
    const now = performance.now()
    return { tokens, ms: now - startedAt, firstMs, stallMs, silentMs: now - newsAt }
  }
  try {
    const done = await Promise.race([request.way === 'chat' ? chat() : blocks(), hung])
    if (done === 'hung') return { outcome: 'hung', ...measured() }
    return { outcome: 'answer', ...(done === undefined ? {} : { lastLogits: done }), ...measured() }
  } catch (error) {
    if (error instanceof Left) return { outcome: 'left', ...measured() }
    const message = error instanceof Error ? error.message : String(error)
    // "Something failed that has no code" is a code, but no typed refusal.
    if (!KwaaiError.is(error) || error.code === 'ERR_GENERATE_FAILED') {
      return {
        outcome: 'crashed',
        message: error instanceof Error ? (error.stack ?? message) : message,
        ...measured()
      }
    }
    return { outcome: 'refused', code: error.code, message, ...measured() }
  } finally {
    clearInterval(watch)
  }
}

function hashOf(values: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex')
}

const calls: ClientCalls = {
  ...common,
  ready: async () => (await starting).whenReady({ signal: AbortSignal.timeout(120_000) }),
  generate,
  explain: async () => (await starting).explain(),
  stop: async () => (await starting).stop()
}
answerCalls(calls)

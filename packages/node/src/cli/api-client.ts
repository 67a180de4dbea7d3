import type { ChatMessage } from '@kwaai/interface'
import { nodeError } from '../errors.ts'
import type { NodeStatus } from '../status.ts'

/** Answers HTTP requests: a node in this process, or another one over the network. */
export type Fetch = (request: Request) => Promise<Response>

/** What a chat asks for besides its messages. */
export interface AskOptions {
  model: string
  maxTokens?: number | undefined
  temperature?: number | undefined
  seed?: number | undefined
  signal: AbortSignal
}

/** How an answer went. */
export interface Answer {
  text: string
  finishReason: string
  promptTokens: number
  completionTokens: number
  /** From the question to the first text. */
  ttftMs: number
  /** Generated tokens after the first, by the time they took. */
  tokensPerSecond: number
}

interface Chunk {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[]
  usage?: { prompt_tokens: number; completion_tokens: number } | null
  error?: { message?: string }
}

const maxEventBytes = 1 << 20

/** The data lines of a server-sent event stream. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(bytes, { stream: true })
    if (rest.length > maxEventBytes) throw new RangeError('The server sent an event of over a mebibyte')
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice(6)
  }
}

async function refused(response: Response): Promise<Error> {
  const body = (await response.json().catch(() => undefined)) as
    | { error?: { message?: string; code?: string } }
    | undefined
  return nodeError(
    'ERR_NODE_NOT_RUNNING',
    body?.error?.message ?? `The node answered with status ${response.status}`,
    { details: { status: response.status, code: body?.error?.code } }
  )
}

/**
 * Asks a node through its OpenAI-compatible API and hands over the text as it comes.
 *
 * @throws A KwaaiError `ERR_NODE_NOT_RUNNING` with the node's own words when it refuses.
 */
export async function ask(
  fetch: Fetch,
  baseUrl: string,
  messages: readonly ChatMessage[],
  options: AskOptions,
  onText: (text: string) => void
): Promise<Answer> {
  const started = performance.now()
  const response = await fetch(
    new Request(new URL('/v1/chat/completions', baseUrl), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        messages,
        model: options.model,
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: options.maxTokens,
        temperature: options.temperature,
        seed: options.seed
      }),
      signal: options.signal
    })
  )
  if (!response.ok || response.body === null) throw await refused(response)
  const answer: Answer = {
    text: '',
    finishReason: '',
    promptTokens: 0,
    completionTokens: 0,
    ttftMs: 0,
    tokensPerSecond: 0
  }
  let first: number | undefined
  let last = started
  for await (const data of events(response.body)) {
    if (data === '[DONE]') break
    const chunk = JSON.parse(data) as Chunk
    if (chunk.error !== undefined) {
      throw nodeError('ERR_NODE_NOT_RUNNING', chunk.error.message ?? 'The answer broke off')
    }
    const choice = chunk.choices?.[0]
    const text = choice?.delta?.content ?? ''
    if (text !== '') {
      last = performance.now()
      first ??= last
      answer.text += text
      onText(text)
    }
    answer.finishReason = choice?.finish_reason ?? answer.finishReason
    answer.promptTokens = chunk.usage?.prompt_tokens ?? answer.promptTokens
    answer.completionTokens = chunk.usage?.completion_tokens ?? answer.completionTokens
  }
  answer.ttftMs = (first ?? last) - started
  const seconds = (last - (first ?? last)) / 1000
  answer.tokensPerSecond = seconds > 0 ? (answer.completionTokens - 1) / seconds : 0
  return answer
}

/** What a node says of itself, or `undefined` where none listens. */
export async function health(baseUrl: string, signal: AbortSignal): Promise<NodeStatus | undefined> {
  try {
    const response = await fetch(new URL('/health', baseUrl), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(3_000)])
    })
    const body = (await response.json()) as Partial<NodeStatus>
    const ours = response.ok && typeof body.peerId === 'string' && typeof body.model?.id === 'string'
    return ours ? (body as NodeStatus) : undefined
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}

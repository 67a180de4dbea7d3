import type {
  ChatRequest,
  CompletionRequest,
  Embedder,
  EmbedderDescription,
  EmbeddingRequest,
  GenerationEvent,
  LanguageModel,
  ModelDescription,
  TokenLogprobs
} from '@kwaai/interface'

/** What a fake model does with a chat, or with a text, which comes as the only message. */
export type Script = (request: ChatRequest, signal: AbortSignal) => AsyncIterable<GenerationEvent>

/** A model that follows a script and remembers what was asked. */
export interface FakeModel extends LanguageModel {
  readonly requests: ChatRequest[]
  readonly completions: CompletionRequest[]
  /** Ready or not, and whatever else it says of itself. */
  description: ModelDescription
}

const start: GenerationEvent = {
  type: 'start',
  promptTokens: 11,
  chain: [{ peer: 'peer', from: 0, to: 30, numericsClass: 'ggml/avx2' }]
}

/** Says the pieces and ends as told. */
export function say(pieces: readonly string[], reason: 'stop' | 'length' = 'stop'): Script {
  return sayEach([pieces], reason)
}

/** Says the pieces of several choices by turns, a token each, with probabilities where they are asked for. */
export function sayEach(choices: readonly (readonly string[])[], reason: 'stop' | 'length' = 'stop'): Script {
  return async function* ({ logprobs }) {
    yield start
    let completionTokens = 0
    for (let round = 0; choices.some((pieces) => round < pieces.length); round++)
      for (const [index, pieces] of choices.entries()) {
        const text = pieces[round]
        if (text === undefined) continue
        completionTokens++
        const event = { type: 'text', index, text, tokens: [1] } as const
        yield logprobs === undefined ? event : { ...event, logprobs: [probabilities(text, logprobs.top)] }
      }
    for (const index of choices.keys()) yield { type: 'finish', index, reason }
    yield { type: 'usage', usage: { promptTokens: 11, completionTokens, cachedTokens: 4 } }
  }
}

function probabilities(text: string, top: number): TokenLogprobs {
  const bytes = new TextEncoder().encode(text)
  const likeliest = Array.from({ length: top }, (_, rank) => ({
    token: rank + 1,
    bytes: rank === 0 ? bytes : new TextEncoder().encode(`other ${rank}`),
    logprob: -0.25 - rank
  }))
  return { token: 1, bytes, logprob: -0.25, top: likeliest }
}

/** Calls functions, the arguments of each in pieces. */
export function callFunctions(calls: readonly { name: string; pieces: readonly string[] }[]): Script {
  return async function* () {
    yield start
    for (const [call, { name, pieces }] of calls.entries()) {
      const head = { type: 'tool-call', index: 0, call, tokens: [1] } as const
      yield { ...head, id: `call_${call}`, name, arguments: '' }
      for (const piece of pieces) yield { ...head, arguments: piece }
    }
    yield { type: 'finish', index: 0, reason: 'tool_calls' }
    yield { type: 'usage', usage: { promptTokens: 11, completionTokens: 9, cachedTokens: 0 } }
  }
}

/** Fails with `error` after the pieces. */
export function failAfter(pieces: readonly string[], error: unknown): Script {
  return async function* () {
    if (pieces.length > 0) yield { type: 'start', promptTokens: 11, chain: [] }
    for (const text of pieces) yield { type: 'text', index: 0, text, tokens: [1] }
    throw error
  }
}

export function createFakeModel(script: Script = say(['Hel', 'lo', ' 🌍']), id = 'fake'): FakeModel {
  const requests: ChatRequest[] = []
  const completions: CompletionRequest[] = []
  const never = new AbortController().signal
  return {
    specification: 'kwaai.language-model/1',
    requests,
    completions,
    description: { id, created: 1_700_000_000, ownedBy: 'kwaai', contextLength: 2048, ready: true },
    async describe() {
      return this.description
    },
    chat(request, options) {
      requests.push(request)
      return script(request, options?.signal ?? never)
    },
    complete(request, options) {
      completions.push(request)
      const content = typeof request.prompt === 'string' ? request.prompt : request.prompt.join(' ')
      return script({ ...request, messages: [{ role: 'user', content }] }, options?.signal ?? never)
    },
    embed: () => Promise.reject(new Error('not asked for'))
  }
}

/** An embedder whose vectors depend on the input alone, and what it was asked. */
export interface FakeEmbedder extends Embedder {
  readonly requests: EmbeddingRequest[]
}

export function createFakeEmbedder(more: Partial<EmbedderDescription> = {}): FakeEmbedder {
  const requests: EmbeddingRequest[] = []
  const description: EmbedderDescription = {
    id: 'fake-embedder',
    created: 1_700_000_001,
    ownedBy: 'kwaai',
    dimensions: 8,
    maxTokens: 16,
    ...more
  }
  return {
    specification: 'kwaai.embedder/1',
    requests,
    describe: async () => description,
    async embed(request) {
      requests.push(request)
      const vectors = request.input.map((input) => vectorOf(input, description.dimensions))
      const promptTokens = request.input.reduce((sum, input) => sum + input.length, 0)
      return { vectors, usage: { promptTokens, completionTokens: 0, cachedTokens: 0 } }
    }
  }
}

function vectorOf(input: string | readonly number[], dimensions: number): Float32Array {
  const codes = typeof input === 'string' ? Array.from(input, (c) => c.codePointAt(0) ?? 0) : input
  const values = Array.from({ length: dimensions }, (_, i) =>
    codes.reduce((sum, code, at) => sum + Math.sin(code * (i + 1) + at), 0.1)
  )
  const norm = Math.hypot(...values)
  return Float32Array.from(values, (value) => value / norm)
}

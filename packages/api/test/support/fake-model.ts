import type { ChatRequest, GenerationEvent, LanguageModel, ModelDescription } from '@kwaai/interface'

/** What a fake model does with a chat. */
export type Script = (request: ChatRequest, signal: AbortSignal) => AsyncIterable<GenerationEvent>

/** A model that follows a script and remembers what was asked. */
export interface FakeModel extends LanguageModel {
  readonly requests: ChatRequest[]
  /** Ready or not, and whatever else it says of itself. */
  description: ModelDescription
}

/** Says the pieces and ends as told. */
export function say(pieces: readonly string[], reason: 'stop' | 'length' = 'stop'): Script {
  return async function* () {
    const hop = { peer: 'peer', from: 0, to: 30, numericsClass: 'ggml/avx2' }
    yield { type: 'start', promptTokens: 11, chain: [hop] }
    for (const text of pieces) yield { type: 'text', index: 0, text, tokens: [1] }
    yield { type: 'finish', index: 0, reason }
    yield { type: 'usage', usage: { promptTokens: 11, completionTokens: pieces.length, cachedTokens: 4 } }
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
  return {
    specification: 'kwaai.language-model/1',
    requests,
    description: { id, created: 1_700_000_000, ownedBy: 'kwaai', contextLength: 2048, ready: true },
    async describe() {
      return this.description
    },
    chat(request, options) {
      requests.push(request)
      return script(request, options?.signal ?? new AbortController().signal)
    },
    complete: () => {
      throw new Error('not asked for')
    },
    embed: () => Promise.reject(new Error('not asked for'))
  }
}

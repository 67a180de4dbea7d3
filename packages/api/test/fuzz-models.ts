import type { Embedder, GenerationOptions, LanguageModel } from '@kwaai/interface'
import type { ApiComponents } from '@kwaai/api'

/** Models that answer whatever is asked rightly, and what reached them. */
export function createFuzzModels(): { components: ApiComponents; asked: unknown[] } {
  const asked: unknown[] = []
  const usage = { promptTokens: 3, completionTokens: 1, cachedTokens: 0 }
  const answer: LanguageModel['chat'] = async function* (request: GenerationOptions) {
    asked.push(request)
    const { n = 1, logprobs } = request
    yield { type: 'start', promptTokens: 3, chain: [] }
    const taken = { token: 1, bytes: new TextEncoder().encode('Yes'), logprob: -0.5 }
    const shown =
      logprobs === undefined
        ? {}
        : { logprobs: [{ ...taken, top: Array.from({ length: logprobs.top }, () => taken) }] }
    for (let index = 0; index < n; index++) {
      yield { type: 'text', index, text: 'Yes', tokens: [1], ...shown }
      yield { type: 'finish', index, reason: 'stop' }
    }
    yield { type: 'usage', usage: { ...usage, completionTokens: n } }
  }
  const model: LanguageModel = {
    specification: 'kwaai.language-model/1',
    describe: async () => ({ id: 'fake', created: 1, ownedBy: 'kwaai', contextLength: 2048, ready: true }),
    chat: answer,
    complete: (request, options) => answer({ ...request, messages: [] }, options),
    embed: () => Promise.reject(new Error('not asked for')),
    explain: async () => ({ chain: [], relaxed: [], candidates: [] })
  }
  const embedder: Embedder = {
    specification: 'kwaai.embedder/1',
    describe: async () => ({ id: 'embedder', created: 1, ownedBy: 'kwaai', dimensions: 8, maxTokens: 16 }),
    embed: async (request) => {
      asked.push(request)
      return { vectors: request.input.map(() => new Float32Array(8).fill(Math.sqrt(1 / 8))), usage }
    }
  }
  return { components: { models: [model], embedders: [embedder] } as ApiComponents, asked }
}

import type { LanguageModel } from '@kwaai/interface'

/** Says `word ` as often as it is asked for tokens, at once: what is left is the server's own work. */
export const model: LanguageModel = {
  specification: 'kwaai.language-model/1',
  describe: async () => ({ id: 'fake', created: 0, ownedBy: 'kwaai', contextLength: 4096, ready: true }),
  async *chat({ maxTokens = 1 }) {
    yield { type: 'start', promptTokens: 9, chain: [] }
    for (let i = 0; i < maxTokens; i++) yield { type: 'text', index: 0, text: 'word ', tokens: [i] }
    yield { type: 'finish', index: 0, reason: 'length' }
    yield { type: 'usage', usage: { promptTokens: 9, completionTokens: maxTokens, cachedTokens: 0 } }
  },
  complete: () => {
    throw new Error('unused')
  },
  embed: () => Promise.reject(new Error('unused'))
}

/** What a client sends, as the official client does: a system turn, a question, a few options. */
export function bodyOf(tokens: number, stream: boolean): string {
  return JSON.stringify({
    model: 'fake',
    messages: [
      { role: 'system', content: 'You are a helpful assistant.' },
      { role: 'user', content: 'What is a peer-to-peer network? Answer in three sentences.' }
    ],
    max_tokens: tokens,
    temperature: 0.7,
    top_p: 0.95,
    stop: ['\n\n'],
    seed: 1,
    stream
  })
}

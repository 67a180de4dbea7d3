// The OpenAI-compatible API over a model of your own, without a server: a request goes in, a response comes out.
import { createApi } from '@kwaai/api'
import { KwaaiError, type GenerationEvent, type LanguageModel } from '@kwaai/interface'

// Anything that keeps the contract can be served. This one says backwards what it is told.
const mirror: LanguageModel = {
  specification: 'kwaai.language-model/1',
  describe: async () => ({ id: 'mirror', created: 0, ownedBy: 'you', contextLength: 1000, ready: true }),
  async *chat({ messages }): AsyncGenerator<GenerationEvent> {
    const words = (messages.at(-1)?.content ?? '').split(' ').toReversed()
    yield { type: 'start', promptTokens: words.length, chain: [] }
    for (const [token, word] of words.entries()) {
      yield { type: 'text', index: 0, text: token === 0 ? word : ` ${word}`, tokens: [token] }
    }
    yield { type: 'finish', index: 0, reason: 'stop' }
    const usage = { promptTokens: words.length, completionTokens: words.length, cachedTokens: 0 }
    yield { type: 'usage', usage }
  },
  complete: () => {
    throw new KwaaiError('ERR_MODEL_UNSUPPORTED', 'Cannot complete a text: the mirror only chats')
  },
  embed: async () => {
    throw new KwaaiError('ERR_MODEL_UNSUPPORTED', 'Cannot embed a text: the mirror only chats')
  }
}

const api = createApi({}, { models: [mirror] })
const ask = (model: string): Promise<Response> =>
  api.fetch(
    new Request('http://localhost/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hears who Nobody' }] })
    })
  )

const answer = await ask('mirror')
const { choices, usage } = (await answer.json()) as {
  choices: { message: { content: string } }[]
  usage: { total_tokens: number }
}
console.log(`${answer.status}: ${choices[0]?.message.content} (${usage.total_tokens} tokens)`)

const unknown = await ask('oracle')
const { error } = (await unknown.json()) as { error: { code: string } }
console.log(`${unknown.status}: ${error.code}`)

/* Prints
200: Nobody who hears (6 tokens)
404: model_not_found
*/

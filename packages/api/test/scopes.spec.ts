import { createApi, createApiKeys } from '@kwaai/api'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { modelListSchema } from '../src/reply-schemas.ts'
import { createFakeEmbedder, createFakeModel } from './support/fake-model.ts'
import { chat, expectError, get, hello, post } from './support/requests.ts'

test('a key sees and uses the models it covers, at every address', async () => {
  const clock = createFakeClock()
  const random = createSeededRandom(1)
  const keys = createApiKeys({}, { store: createMemoryStore(), clock, random })
  const { secret } = await keys.create({ name: 'one', models: ['mine', 'my-vectors'] })
  const explain = async () => ({ chain: [], relaxed: [], candidates: [] })
  const api = createApi(
    {},
    {
      clock,
      random,
      keys,
      models: ['other', 'mine'].map((id) => ({ ...createFakeModel(undefined, id), explain })),
      embedders: ['vectors', 'my-vectors'].map((id) => createFakeEmbedder({ id }))
    }
  )
  const authorization = `Bearer ${secret}`
  const init = { headers: { authorization, 'content-type': 'application/json' } }
  const list = modelListSchema.parse(await (await api.fetch(get('/v1/models', init))).json())
  expect(list.data.map(({ id }) => id)).toEqual(['mine', 'my-vectors'])

  const requests = (text: string, vectors: string): Request[] => [
    get(`/v1/models/${text}`, init),
    get(`/v1/models/${vectors}`, init),
    get(`/v1/kwaai/explain?model=${text}`, init),
    chat(JSON.stringify({ model: text, messages: hello }), init),
    post('/v1/completions', { model: text, prompt: 'x' }, init),
    post('/v1/embeddings', { model: vectors, input: 'x' }, init)
  ]
  for (const request of requests('mine', 'my-vectors'))
    expect([request.url, (await api.fetch(request)).status]).toEqual([request.url, 200])
  for (const request of requests('other', 'vectors'))
    await expectError(await api.fetch(request), 404, 'model_not_found', 'model')
  // Neither the address that nobody needs a key for nor the counts tell of the others.
  expect(await (await api.fetch(get('/ready'))).json()).toEqual({ status: 'ready' })
  await expectError(await api.fetch(get('/metrics', init)), 403, 'key_not_allowed')
  // The default is the first that the key covers.
  expect(await (await api.fetch(get('/v1/kwaai/explain', init))).json()).toMatchObject({ model: 'mine' })
})

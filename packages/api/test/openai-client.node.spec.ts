// The official client over createKwaaiFetch: no server, no port.
import { KwaaiError } from '@kwaai/interface'
import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { createApi, createApiKeys, createKwaaiFetch, type ApiComponents, type ApiInit } from '@kwaai/api'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, type Script } from './support/fake-model.ts'

const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Hello' }]

function setup(
  script?: Script,
  components: Partial<ApiComponents> = {},
  init: ApiInit = {},
  apiKey = 'none'
) {
  const model = createFakeModel(script)
  const api = createApi(init, { models: [model], ...components })
  const fetch = createKwaaiFetch(api)
  const client = new OpenAI({ apiKey, baseURL: 'http://kwaai.local/v1', fetch, maxRetries: 0 })
  return { model, client, api }
}

test('lists models and answers', async () => {
  const { client } = setup()
  const ids: string[] = []
  for await (const { id } of client.models.list()) ids.push(id)
  expect(ids).toEqual(['fake'])
  expect((await client.models.retrieve('fake')).owned_by).toBe('kwaai')
  const { data, request_id } = await client.chat.completions
    .create({ model: 'fake', messages })
    .withResponse()
  expect(data.choices[0]?.message.content).toBe('Hello 🌍')
  expect(data.usage?.total_tokens).toBe(14)
  expect(request_id).toMatch(/^req_/)
})

test('streams, by hand and by its helper', async () => {
  const { client } = setup()
  let text = ''
  const chunks = await client.chat.completions.create({ model: 'fake', messages, stream: true })
  for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? ''
  expect(text).toBe('Hello 🌍')

  const helper = client.chat.completions.stream({
    model: 'fake',
    messages,
    stream_options: { include_usage: true }
  })
  const deltas: string[] = []
  helper.on('content', (delta) => deltas.push(delta))
  expect(await helper.finalContent()).toBe('Hello 🌍')
  expect(deltas).toEqual(['Hel', 'lo', ' 🌍'])
  expect((await helper.totalUsage()).total_tokens).toBe(14)
})

test('an abort ends the work', async () => {
  let aborted = 0
  const endless: Script = async function* (_, signal) {
    signal.addEventListener('abort', () => (aborted += 1))
    yield { type: 'start', promptTokens: 1, chain: [] }
    for (;;) {
      yield { type: 'text', index: 0, text: 'x', tokens: [1] }
      await macrotask()
    }
  }
  const { client } = setup(endless, {}, { maxGenerations: 1 })
  const left = await client.chat.completions.create({ model: 'fake', messages, stream: true })
  for await (const chunk of left) if (chunk.choices[0]?.delta.content === 'x') break
  await macrotask()
  expect(aborted).toBe(1)
  const stopped = await client.chat.completions.create({ model: 'fake', messages, stream: true })
  for await (const chunk of stopped) if (chunk.choices[0]?.delta.content === 'x') stopped.controller.abort()
  expect(aborted).toBe(2)
  const controller = new AbortController()
  const pending = client.chat.completions.create({ model: 'fake', messages }, { signal: controller.signal })
  await macrotask()
  controller.abort()
  await expect(pending).rejects.toBeInstanceOf(OpenAI.APIUserAbortError)
  await macrotask()
  expect(aborted).toBe(3)
})

test('its errors are typed', async () => {
  const { client } = setup()
  const fails = (model: string, more: object = {}): Promise<unknown> =>
    client.chat.completions.create({ model, messages, ...more }).then(
      () => undefined,
      (error: unknown) => error
    )
  const absent = await fails('none')
  expect(absent).toBeInstanceOf(OpenAI.NotFoundError)
  expect(absent).toMatchObject({
    code: 'model_not_found',
    param: 'model',
    requestID: expect.stringMatching(/^req_/)
  })
  const bad = await fails('fake', { temperature: 9 })
  expect(bad).toBeInstanceOf(OpenAI.BadRequestError)
  expect(bad).toMatchObject({ param: 'temperature' })

  const gone = setup(failAfter([], new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no chain')))
  await expect(gone.client.chat.completions.create({ model: 'fake', messages })).rejects.toBeInstanceOf(
    OpenAI.InternalServerError
  )
  const lost = setup(failAfter(['x'], new Error('lost')))
  const stream = await lost.client.chat.completions.create({ model: 'fake', messages, stream: true })
  const read = async (): Promise<void> => {
    for await (const chunk of stream) expect(chunk.choices[0]?.delta.content ?? '').not.toContain('lost')
  }
  await expect(read()).rejects.toBeInstanceOf(OpenAI.APIError)
})

test('keys: the wrong one, a limit, and the wait that the client keeps to', async () => {
  const clock = createFakeClock()
  const keys = createApiKeys({}, { store: createMemoryStore(), clock, random: systemRandom })
  const { secret } = await keys.create({ name: 'test', limits: { tokensPerMinute: 60_000 } })
  const wrong = setup(undefined, { keys, clock })
  await expect(wrong.client.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError)

  const one = await keys.create({ name: 'one', limits: { requestsPerMinute: 1 } })
  const limited = setup(undefined, { keys, clock }, {}, one.secret)
  await limited.client.models.list()
  const error = await limited.client.models.list().then(
    () => undefined,
    (error: unknown) => error
  )
  expect(error).toBeInstanceOf(OpenAI.RateLimitError)
  expect(error).toMatchObject({ code: 'rate_limit_exceeded', headers: expect.any(Headers) })

  // An answer takes a minute's tokens: of the next one the client is told to wait a millisecond, and does.
  const greedy: Script = async function* () {
    yield { type: 'start', promptTokens: 60_000, chain: [] }
    yield { type: 'finish', index: 0, reason: 'stop' }
    yield { type: 'usage', usage: { promptTokens: 60_000, completionTokens: 0, cachedTokens: 0 } }
  }
  const answer = createKwaaiFetch(createApi({}, { models: [createFakeModel(greedy)], keys, clock }))
  const statuses: number[] = []
  const fetch: typeof answer = async (input, init) => {
    const response = await answer(input, init)
    statuses.push(response.status)
    const waitMs = response.headers.get('retry-after-ms')
    if (waitMs !== null) await clock.advance(Number(waitMs))
    return response
  }
  const client = new OpenAI({ apiKey: secret, baseURL: 'http://kwaai.local/v1', fetch, maxRetries: 1 })
  for (let i = 0; i < 2; i++) await client.chat.completions.create({ model: 'fake', messages })
  expect(statuses).toEqual([200, 429, 200])
})

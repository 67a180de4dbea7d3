import { createFakeClock } from '@kwaai/testing'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel } from './support/fake-model.ts'
import { chat, expectError, get } from './support/requests.ts'
import { modelListSchema as modelList, modelSchema } from '../src/reply-schemas.ts'

test('lists the models in the order given', async () => {
  const api = createApi({}, { models: [createFakeModel(undefined, 'b'), createFakeModel(undefined, 'a')] })
  const response = await api.fetch(get('/v1/models'))
  expect(response.status).toBe(200)
  const list = modelList.parse(await response.json())
  expect(list.data.map(({ id }) => id)).toEqual(['b', 'a'])
  expect(list.data[0]).toEqual({
    id: 'b',
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'kwaai',
    context_length: 2048,
    ready: true
  })
})

test('tells of a model that is split how many servers hold each range', async () => {
  const model = createFakeModel()
  const coverage = [
    { from: 0, to: 10, servers: 2 },
    { from: 10, to: 30, servers: 0 }
  ]
  model.description = { ...model.description, coverage, ready: false }
  const api = createApi({}, { models: [model] })
  const one = modelSchema.parse(await (await api.fetch(get('/v1/models/fake'))).json())
  expect(one).toMatchObject({ ready: false, coverage })
})

test('asks a function of models anew for each request', async () => {
  const models = [createFakeModel(undefined, 'one')]
  const api = createApi({}, { models: () => models })
  models.push(createFakeModel(undefined, 'two'))
  expect(modelList.parse(await (await api.fetch(get('/v1/models'))).json()).data).toHaveLength(2)
})

test('gives one model by name, with slashes encoded or not', async () => {
  const api = createApi({}, { models: [createFakeModel(undefined, 'house/smol-1.0')] })
  for (const path of ['/v1/models/house/smol-1.0', '/v1/models/house%2Fsmol-1.0']) {
    const response = await api.fetch(get(path))
    expect(modelSchema.parse(await response.json()).id).toBe('house/smol-1.0')
  }
})

test('names the model it does not know', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  const message = await expectError(await api.fetch(get('/v1/models/nope')), 404, 'model_not_found', 'model')
  expect(message).toContain("'nope'")
  await expectError(await api.fetch(get('/v1/models/%E0%A4%A')), 404, 'model_not_found', 'model')
})

test('refuses unknown addresses and wrong methods in JSON', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  await expectError(await api.fetch(get('/')), 404, 'unknown_url')
  await expectError(await api.fetch(get('/v1/nothing')), 404, 'unknown_url')
  await expectError(await api.fetch(get('/v1/nothing', { method: 'POST' })), 404, 'unknown_url')
  const paths: [string, string, string][] = [
    ['/v1/models', 'POST', 'GET, HEAD'],
    ['/v1/models/fake', 'DELETE', 'GET, HEAD'],
    ['/health', 'PUT', 'GET, HEAD'],
    ['/ready', 'OPTIONS', 'GET, HEAD'],
    ['/v1/chat/completions', 'GET', 'POST'],
    ['/v1/chat/completions', 'PATCH', 'POST']
  ]
  for (const [path, method, allowed] of paths) {
    const response = await api.fetch(get(path, { method }))
    expect(response.headers.get('allow')).toBe(allowed)
    await expectError(response, 405, 'method_not_supported')
  }
})

test('answers HEAD as GET, without a body', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  for (const [path, status] of [
    ['/v1/models', 200],
    ['/v1/models/nope', 404],
    ['/health', 200],
    ['/v1/chat/completions', 405]
  ] as const) {
    const response = await api.fetch(get(path, { method: 'HEAD' }))
    expect([path, response.status, await response.text()]).toEqual([path, status, ''])
  }
})

test('health says what the host program says', async () => {
  const plain = createApi({}, { models: [] })
  expect(await (await plain.fetch(get('/health'))).json()).toEqual({ status: 'ok' })
  const api = createApi({ health: async () => ({ peerId: '12D3', addresses: [] }) }, { models: [] })
  expect(await (await api.fetch(get('/health'))).json()).toEqual({
    status: 'ok',
    peerId: '12D3',
    addresses: []
  })
  const broken = createApi(
    {
      health: () => {
        throw new Error('secret path')
      }
    },
    { models: [] }
  )
  expect(await expectError(await broken.fetch(get('/health')), 500, 'internal_error')).not.toContain('secret')
})

test('is ready once a chain can serve', async () => {
  const model = createFakeModel()
  model.description = { ...model.description, ready: false }
  const api = createApi({ retryAfterMs: 1500 }, { models: [model] })
  const early = await api.fetch(get('/ready'))
  expect([early.headers.get('retry-after'), early.headers.get('retry-after-ms')]).toEqual(['2', '1500'])
  await expectError(early, 503, 'model_unavailable')
  model.description = { ...model.description, ready: true }
  const response = await api.fetch(get('/ready'))
  expect([response.status, await response.json()]).toEqual([200, { status: 'ready', models: ['fake'] }])
})

test('a model that does not describe itself in time hides no other', async () => {
  const clock = createFakeClock()
  const silent = { ...createFakeModel(), describe: () => new Promise<never>(() => undefined) }
  const broken = { ...createFakeModel(), describe: () => Promise.reject(new Error('down')) }
  const api = createApi({ describeTimeoutMs: 100 }, { clock, models: [silent, broken, createFakeModel()] })
  const pending = api.fetch(get('/v1/models'))
  await clock.advance(100)
  expect(modelList.parse(await (await pending).json()).data.map(({ id }) => id)).toEqual(['fake'])

  const unsure = api.fetch(get('/v1/models/other'))
  await clock.advance(100)
  await expectError(await unsure, 503, 'model_unavailable')
  expect(clock.sleeping).toBe(0)
})

test('a request that names a model whose name is known asks no model for its name again', async () => {
  let asked = 0
  const models = ['a', 'b'].map((id) => {
    const model = createFakeModel(undefined, id)
    return { ...model, describe: () => (asked++, model.describe()) }
  })
  const api = createApi({}, { models })
  for (let round = 0; round < 3; round++)
    for (const model of ['a', 'b']) expect((await api.fetch(chat({ model }))).status).toBe(200)
  expect(asked).toBe(2)
  // What is ready changes, so whoever asks for that is answered anew; and a name may be one of somebody new.
  await api.fetch(get('/v1/models'))
  expect(asked).toBe(4)
  await expectError(await api.fetch(chat({ model: 'c' })), 404, 'model_not_found', 'model')
  expect(asked).toBe(6)
})

test('gives every answer a request id, the client’s own where it is a sane one', async () => {
  const api = createApi({}, { models: [] })
  const idOf = async (given?: string): Promise<string | null> =>
    (
      await api.fetch(get('/health', given === undefined ? {} : { headers: { 'x-request-id': given } }))
    ).headers.get('x-request-id')
  expect(await idOf('my-id.1:2_3')).toBe('my-id.1:2_3')
  for (const odd of [undefined, 'a b', 'x'.repeat(129), '<script>', 'é'])
    expect(await idOf(odd)).toMatch(/^req_[0-9a-f]{32}$/)
  expect(await idOf()).not.toBe(await idOf())
  expect((await api.fetch(get('/nope'))).headers.get('x-request-id')).toMatch(/^req_/)
})

test('refuses options that make no sense', () => {
  for (const init of [{ maxBodyBytes: 0 }, { keepAliveMs: NaN }, { maxGenerations: -1 }])
    expect(() => createApi(init, { models: [] })).toThrow(
      expect.objectContaining({ code: 'ERR_API_INVALID_INIT' })
    )
})

test('logs requests and never what they say', async () => {
  const lines: string[] = []
  const logger = { log: (...entry: unknown[]) => void lines.push(JSON.stringify(entry)) }
  const api = createApi({}, { models: [createFakeModel()], logger })
  await api.fetch(get('/v1/models?secret=prompt'))
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('"path":"/v1/models"')
  expect(lines[0]).not.toContain('secret')
})

test('a request whose address cannot be read is refused like any other', async () => {
  const request = get('/v1/models')
  // As Deno does with a Host that is none.
  Object.defineProperty(request, 'url', {
    get: () => {
      throw new TypeError('Invalid URL')
    }
  })
  await expectError(await createApi({}, { models: [] }).fetch(request), 400, 'invalid_request')
})

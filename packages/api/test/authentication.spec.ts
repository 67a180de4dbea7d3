import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { createFakeClock } from '@kwaai/testing'
import { createApi, createApiKeys, type ApiInit, type CreateKeyInit } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, say } from './support/fake-model.ts'
import { chat, expectError, get } from './support/requests.ts'
import { modelList } from './support/schemas.ts'

async function setup(wanted: Omit<CreateKeyInit, 'name'>[], init: ApiInit = {}) {
  const clock = createFakeClock()
  const logged: unknown[] = []
  const keys = createApiKeys({}, { store: createMemoryStore(), clock, random: systemRandom })
  const made = []
  for (const one of wanted) made.push(await keys.create({ name: 'test', ...one }))
  const model = createFakeModel()
  const other = createFakeModel(say(['x']), 'other')
  const api = createApi(init, {
    models: [model, other],
    clock,
    keys,
    logger: { log: (...entry) => logged.push(entry) }
  })
  const ask = (request: Request, secret: string | undefined): Promise<Response> => {
    if (secret !== undefined) request.headers.set('authorization', `Bearer ${secret}`)
    return api.fetch(request)
  }
  return { clock, keys, made, model, api, ask, logged }
}

test('with keys, whoever has none is refused before any model hears of him', async () => {
  const { ask, keys, made, model } = await setup([{}])
  const [{ secret, key } = expect.fail()] = made
  for (const path of ['/v1/models', '/v1/models/fake', '/metrics', '/v1/nothing', '/nothing']) {
    const without = await ask(get(path), undefined)
    expect(without.headers.get('www-authenticate')).toBe('Bearer realm="kwaai"')
    await expectError(without, 401, 'invalid_api_key')
    const wrong = await ask(get(path), `kw-${'A'.repeat(43)}`)
    expect(wrong.headers.get('www-authenticate')).toBe('Bearer realm="kwaai", error="invalid_token"')
    await expectError(wrong, 401, 'invalid_api_key')
  }
  await expectError(await ask(chat(), undefined), 401, 'invalid_api_key')
  expect(model.requests).toEqual([])

  // Monitors have no key.
  for (const path of ['/health', '/ready'])
    for (const method of ['GET', 'HEAD'])
      expect((await ask(get(path, { method }), undefined)).status).toBe(200)

  expect((await ask(get('/v1/models'), secret)).status).toBe(200)
  expect((await ask(chat(), secret)).status).toBe(200)
  await keys.revoke(key.id)
  await expectError(await ask(get('/v1/models'), secret), 401, 'invalid_api_key')
})

test.each(['', 'Bearer', 'Basic a2V5', 'Bearer a b', `Bearer ${'x'.repeat(10_000)}`, 'Bearer kw-'])(
  'the header %j is no key',
  async (authorization) => {
    const { api } = await setup([{}])
    const response = await api.fetch(get('/v1/models', { headers: { authorization } }))
    await expectError(response, 401, 'invalid_api_key')
  }
)

test('the caller is the id of the key, and neither log nor model sees the key', async () => {
  const { ask, made, model, logged } = await setup([{}, {}])
  for (const { secret } of made) await (await ask(chat({ user: 'x' }), secret)).text()
  expect(model.requests.map(({ caller }) => caller)).toEqual(made.map(({ key }) => key.id))
  const text = JSON.stringify([logged, model.requests])
  expect(text).toContain(made[0]?.key.id)
  for (const { secret } of made) expect(text).not.toContain(secret.slice(3))
})

test('a key that covers one model sees and uses that one', async () => {
  const { ask, made, model } = await setup([{ models: ['other'] }])
  const secret = made[0]?.secret
  const list = modelList.parse(await (await ask(get('/v1/models'), secret)).json())
  expect(list.data.map(({ id }) => id)).toEqual(['other'])
  expect((await ask(chat({ model: 'other' }), secret)).status).toBe(200)
  // What it does not cover looks like what is not there.
  const covered = await expectError(await ask(chat(), secret), 404, 'model_not_found', 'model')
  const absent = await expectError(
    await ask(chat({ model: 'none' }), secret),
    404,
    'model_not_found',
    'model'
  )
  expect(covered.replace('fake', 'none')).toBe(absent)
  await expectError(await ask(get('/v1/models/fake'), secret), 404, 'model_not_found', 'model')
  expect(model.requests).toEqual([])
})

test('the limits of a key stand in every answer, and hold for it alone', async () => {
  const limits = { requestsPerMinute: 2, tokensPerMinute: 600 }
  const { ask, made, clock } = await setup([{ limits }, { limits }, {}])
  const [a, b, free] = made.map(({ secret }) => secret)
  const limit = (response: Response, what: string): string | null =>
    response.headers.get(`x-ratelimit-${what}`)

  const first = await ask(chat(), a)
  await first.text()
  expect(limit(first, 'limit-requests')).toBe('2')
  expect(limit(first, 'remaining-requests')).toBe('1')
  expect(limit(first, 'reset-requests')).toBe('30s')
  expect(limit(first, 'limit-tokens')).toBe('600')
  // 11 tokens of prompt and 3 of answer.
  expect(limit(first, 'remaining-tokens')).toBe('586')
  expect(limit(first, 'reset-tokens')).toBe('1.4s')

  const second = await ask(get('/v1/nothing'), a)
  await expectError(second, 404, 'unknown_url')
  expect(limit(second, 'remaining-requests')).toBe('0')

  const third = await ask(chat(), a)
  expect(third.headers.get('retry-after')).toBe('30')
  expect(third.headers.get('retry-after-ms')).toBe('30000')
  expect(limit(third, 'reset-requests')).toBe('1m0s')
  await expectError(third, 429, 'rate_limit_exceeded')

  const others = await Promise.all([ask(chat(), b), ask(chat(), free)])
  expect(others.map(({ status }) => status)).toEqual([200, 200])
  expect(others.map((response) => limit(response, 'remaining-requests'))).toEqual(['1', null])

  await clock.advance(29_999)
  await expectError(await ask(chat(), a), 429, 'rate_limit_exceeded')
  await clock.advance(1)
  expect((await ask(chat(), a)).status).toBe(200)
  await expectError(await ask(chat(), a), 429, 'rate_limit_exceeded')
})

test.each(['/%761/models', '/v1/%6dodels', '/%76%31/models'])(
  'the address %s is counted as the one it leads to',
  async (path) => {
    const { ask, made } = await setup([{ limits: { requestsPerMinute: 1 } }])
    const secret = made[0]?.secret
    expect((await ask(get(path), secret)).status).toBe(200)
    await expectError(await ask(get(path), secret), 429, 'rate_limit_exceeded')
    // Whoever watches the server takes nothing from it.
    expect((await ask(get('/metrics'), secret)).status).toBe(200)
  }
)

test('an answer may overdraw the tokens of its key, which then waits until they are paid back', async () => {
  const { ask, made, clock } = await setup([{ limits: { tokensPerMinute: 10 } }])
  const secret = made[0]?.secret
  const first = await ask(chat(), secret)
  await first.text()
  expect([first.status, first.headers.get('x-ratelimit-remaining-tokens')]).toEqual([200, '0'])
  // 14 tokens were used of 10: 4 and one more are 30 seconds.
  const second = await ask(chat(), secret)
  expect(second.headers.get('retry-after-ms')).toBe('30000')
  await expectError(second, 429, 'rate_limit_exceeded')
  // Looking costs no tokens.
  expect((await ask(get('/v1/models'), secret)).status).toBe(200)
  await clock.advance(30_000)
  expect((await ask(chat(), secret)).status).toBe(200)
})

test('a key runs as many answers at once as it may, and a refused one takes no place', async () => {
  const { ask, made } = await setup([{ limits: { concurrent: 1 } }, {}], { maxGenerations: 2 })
  const [a, b] = made.map(({ secret }) => secret)
  const open = await ask(chat({ stream: true }), a)
  await expectError(await ask(chat(), a), 429, 'rate_limit_exceeded')
  const other = await ask(chat({ stream: true }), b)
  expect(other.status).toBe(200)
  await expectError(await ask(chat(), b), 429, 'too_many_generations')
  await open.body?.cancel()
  expect((await ask(chat(), a)).status).toBe(200)
  await other.body?.cancel()
})

test('where the keys cannot be read nobody gets in', async () => {
  const model = createFakeModel()
  const keys = { authenticate: () => Promise.reject(new Error('the disk is gone')) }
  const api = createApi({}, { models: [model], keys })
  const request = chat()
  request.headers.set('authorization', `Bearer kw-${'A'.repeat(43)}`)
  const message = await expectError(await api.fetch(request), 500, 'internal_error')
  expect(message).not.toContain('disk')
  expect(model.requests).toEqual([])
  expect((await api.fetch(get('/health'))).status).toBe(200)
})

test('an address that only looks like an open one is not', async () => {
  const { ask } = await setup([{}])
  for (const path of [
    '/health/',
    '/healt%68',
    '//health',
    '/health%2f..%2fv1%2fmodels',
    '/Health',
    '/v1/../v1/models'
  ])
    await expectError(await ask(get(path), undefined), 401, 'invalid_api_key')
  // The platform resolves what is relative before anybody sees it.
  expect((await ask(get('/v1/../health'), undefined)).status).toBe(200)
})

test('without keys a request may send whatever key it likes', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  const response = await api.fetch(get('/v1/models', { headers: { authorization: 'Bearer none' } }))
  expect(response.status).toBe(200)
})

test('a token that could be guessed is refused', () => {
  expect(() => createApi({ token: 'secret' }, { models: [] })).toThrow(/token has 6 characters/)
})

// In Node.js only: a browser sets Host, Origin and Sec-Fetch-Site itself.
import { createApi, type ApiInit } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel } from './support/fake-model.ts'
import { chat, expectError, get, hello } from './support/requests.ts'

const ask = (headers: Record<string, string>, init: ApiInit = {}): Promise<Response> =>
  createApi(init, { models: [createFakeModel()] }).fetch(get('/v1/models', { headers }))

test.each([
  'localhost',
  'localhost:80',
  'LOCALHOST.:11435',
  'api.localhost',
  '127.0.0.1:11435',
  '127.1.2.3',
  '[::1]:9'
])('the loopback name %s is answered', async (host) => {
  expect((await ask({ host })).status).toBe(200)
})

test.each([
  'evil.example',
  'evil.example:11435',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '0.0.0.0',
  '192.168.1.2',
  '[::2]',
  'localhost/x',
  'user@localhost',
  'a b',
  ''
])('the name %j is not, whatever was asked: DNS rebinding', async (host) => {
  await expectError(await ask({ host }), 403, 'host_not_allowed')
})

test('a page of another name is refused before the model hears of it', async () => {
  const model = createFakeModel()
  const api = createApi({}, { models: [model] })
  const body = JSON.stringify({ model: 'fake', messages: hello })
  for (const headers of [
    { host: 'evil.example' },
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' }
  ]) {
    const response = await api.fetch(
      chat(body, { headers: { 'content-type': 'application/json', ...headers } })
    )
    expect(response.status).toBe(403)
    expect(response.headers.has('access-control-allow-origin')).toBe(false)
  }
  // What a page can send without being asked first has no JSON content type.
  expect((await api.fetch(chat(body, { headers: { 'content-type': 'text/plain' } }))).status).toBe(415)
  expect(model.requests).toEqual([])
})

test.each([
  'https://evil.example',
  'null',
  'file://',
  'http://localhost.evil.example',
  'chrome-extension://abc',
  ''
])('the origin %j is refused', async (origin) => {
  await expectError(await ask({ origin }), 403, 'origin_not_allowed')
})

test('pages of this machine are answered, without CORS headers', async () => {
  for (const origin of ['http://localhost:3000', 'http://127.0.0.1:11435', 'https://[::1]:9']) {
    const response = await ask({ origin, 'sec-fetch-site': 'same-site' })
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, null])
  }
})

test('a listed host is answered, and its own pages with it', async () => {
  const init = { allowedHosts: ['Node.lan'] }
  expect((await ask({ host: 'node.lan:11435' }, init)).status).toBe(200)
  expect((await ask({ host: 'node.lan:11435', origin: 'http://node.lan:11435' }, init)).status).toBe(200)
  await expectError(
    await ask({ host: 'node.lan:11435', origin: 'http://node.lan:99' }, init),
    403,
    'origin_not_allowed'
  )
  await expectError(await ask({ host: 'other.lan' }, init), 403, 'host_not_allowed')
  expect((await ask({ host: 'any.example' }, { allowedHosts: ['*'] })).status).toBe(200)
})

test('a listed origin may call and read; the browser’s question is answered for it alone', async () => {
  const init = { allowedOrigins: ['https://chat.example'] }
  const api = createApi(init, { models: [createFakeModel()] })
  const response = await ask({ origin: 'https://chat.example', 'sec-fetch-site': 'cross-site' }, init)
  expect(response.status).toBe(200)
  expect(response.headers.get('access-control-allow-origin')).toBe('https://chat.example')
  expect(response.headers.get('vary')).toBe('Origin')
  expect(response.headers.get('access-control-expose-headers')).toContain('x-request-id')

  const wanted = 'authorization,content-type,x-stainless-arch,x-stainless-retry-count'
  const preflight = (origin: string, names = wanted): Promise<Response> =>
    api.fetch(
      get('/v1/chat/completions', {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': names,
          'access-control-request-private-network': 'true'
        }
      })
    )
  const yes = await preflight('https://chat.example')
  expect(yes.status).toBe(204)
  expect(yes.headers.get('access-control-allow-methods')).toContain('POST')
  expect(yes.headers.get('access-control-allow-headers')).toBe(wanted.replaceAll(',', ', '))
  expect(yes.headers.get('access-control-allow-methods')).toContain('DELETE')
  expect(yes.headers.get('access-control-allow-private-network')).toBe('true')
  // What means nothing here is not allowed.
  const odd = await preflight('https://chat.example', 'X-Evil, Authorization, x-stainless-' + 'a'.repeat(100))
  expect(odd.headers.get('access-control-allow-headers')).toBe('authorization')
  const no = await preflight('https://evil.example')
  expect(no.headers.has('access-control-allow-origin')).toBe(false)
  await expectError(no, 403, 'origin_not_allowed')
  // A page of this machine that is not on the list gets no permission either.
  const local = await preflight('http://localhost:3000')
  expect([local.status, local.headers.get('access-control-allow-origin')]).toEqual([405, null])
  // Refusals of a listed page's requests can be read by it.
  const failed = await api.fetch(get('/nope', { headers: { origin: 'https://chat.example' } }))
  expect(failed.headers.get('access-control-allow-origin')).toBe('https://chat.example')
})

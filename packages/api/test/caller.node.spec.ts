// Browsers let no program set `Origin`, so this runs in Node.js.
import { createApi, type ApiInit } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel } from './support/fake-model.ts'
import { chat } from './support/requests.ts'

test('the model learns who asks: the user of this machine, each page for itself, nobody where others are let in', async () => {
  const callers = async (init: ApiInit, headers: readonly Record<string, string>[]) => {
    const model = createFakeModel()
    const api = createApi(init, { models: [model] })
    for (const more of headers) {
      const response = await api.fetch(chat({}, { headers: { 'content-type': 'application/json', ...more } }))
      expect(response.status).toBe(200)
    }
    return model.requests.map(({ caller }) => caller)
  }
  const page = { origin: 'http://localhost:3000' }
  const pages = { allowedOrigins: ['https://chat.example'] }
  expect(await callers(pages, [{}, page, { origin: 'https://chat.example' }, {}])).toEqual([
    'local',
    page.origin,
    'https://chat.example',
    'local'
  ])
  expect(await callers({ allowedHosts: ['box.lan'] }, [{}, page])).toEqual([undefined, undefined])
  const keys: ApiInit = { caller: (request) => request.headers.get('authorization') ?? undefined }
  expect(await callers(keys, [{}, { authorization: 'ada' }])).toEqual([undefined, 'ada'])
})

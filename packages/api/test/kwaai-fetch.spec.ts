import { createApi, createKwaaiFetch } from '@kwaai/api'
import { macrotask } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { createFakeModel, say, type Script } from './support/fake-model.ts'
import { hello, parseEvents } from './support/requests.ts'
import { chatCompletion, modelList } from './support/schemas.ts'

const base = 'http://kwaai.local/v1'
const post = (body: Record<string, unknown> = {}, init: RequestInit = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'fake', messages: hello, ...body }),
  ...init
})
const setup = (script?: Script) => {
  const model = createFakeModel(script)
  return { model, fetch: createKwaaiFetch(createApi({}, { models: [model] })) }
}

test('answers addresses in each form, whole or relative to its base', async () => {
  const { fetch } = setup()
  for (const input of [
    `${base}/models`,
    new URL(`${base}/models?x=1`),
    'models',
    '/v1/models',
    new Request(`${base}/models`)
  ])
    expect(modelList.parse(await (await fetch(input)).json()).data).toHaveLength(1)
  expect((await fetch('http://kwaai.local/health')).status).toBe(200)
  expect((await fetch('models', { method: 'HEAD' })).status).toBe(200)
})

test('takes bodies in each form', async () => {
  const { fetch, model } = setup()
  const text = JSON.stringify({ model: 'fake', messages: hello })
  const bytes = new TextEncoder().encode(text)
  const headers = { 'content-type': 'application/json' }
  const url = `${base}/chat/completions`
  const stream = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, 5))
        controller.enqueue(bytes.slice(5))
        controller.close()
      }
    })
  const asked: Promise<Response>[] = [
    fetch(url, post()),
    fetch(url, { method: 'POST', headers, body: bytes }),
    fetch(url, { method: 'POST', headers, body: new Blob([text]) }),
    fetch(url, { method: 'POST', headers, body: stream() }),
    fetch(new Request(url, post())),
    fetch(new Request(url, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }), post())
  ]
  for (const pending of asked)
    expect(chatCompletion.parse(await (await pending).json()).choices[0].message.content).toBe('Hello 🌍')
  expect(model.requests).toHaveLength(asked.length)
})

test('streams, and an abort ends the work in the same turn', async () => {
  let aborted = 0
  const { fetch } = setup(async function* (request, signal) {
    signal.addEventListener('abort', () => (aborted += 1))
    yield* say(['a', 'b'])(request, signal)
  })
  const url = `${base}/chat/completions`
  const whole = await fetch(url, post({ stream: true }))
  expect(parseEvents(await whole.text()).at(-1)?.data).toBe('[DONE]')

  for (const viaRequest of [false, true]) {
    aborted = 0
    const client = new AbortController()
    const init = post({ stream: true }, { signal: client.signal })
    const response = await (viaRequest ? fetch(new Request(url, init)) : fetch(url, init))
    const reader = response.body?.getReader()
    await reader?.read()
    const reading = reader?.read()
    await reading
    client.abort()
    expect(aborted).toBe(1)
    await expect(reader?.read()).rejects.toThrow()
  }
})

test('rejects with the reason of the signal, as fetch does', async () => {
  const { fetch, model } = setup(async function* (_, signal) {
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    yield { type: 'start', promptTokens: 1, chain: [] }
  })
  const before = AbortSignal.abort(new Error('never mind'))
  await expect(fetch(`${base}/chat/completions`, post({}, { signal: before }))).rejects.toThrow('never mind')
  expect(model.requests).toEqual([])
  const client = new AbortController()
  const pending = fetch(`${base}/chat/completions`, post({}, { signal: client.signal }))
  while (model.requests.length === 0) await macrotask()
  client.abort()
  await expect(pending).rejects.toMatchObject({ name: 'AbortError' })
  // A node that does not listen keeps nobody waiting.
  const deaf = createKwaaiFetch({ fetch: () => new Promise(() => undefined) })
  const late = new AbortController()
  const waiting = deaf('models', { signal: late.signal })
  late.abort()
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
})

test('answers for its own base alone, so that nothing leaves the process', async () => {
  let asked = 0
  const node = { fetch: async () => (asked++, new Response('{}')) }
  const fetch = createKwaaiFetch(node)
  const foreign = [
    'https://api.openai.com/v1/models',
    'https://kwaai.local/v1',
    'http://kwaai.local:81/',
    '//a.example/',
    'data:,x',
    'http://'
  ]
  for (const url of foreign) await expect(fetch(url)).rejects.toMatchObject({ code: 'ERR_API_FOREIGN_URL' })
  await expect(fetch('http://user:secret@kwaai.local/v1/models')).rejects.toMatchObject({
    code: 'ERR_API_FOREIGN_URL'
  })
  expect(asked).toBe(0)
  const own = createKwaaiFetch(node, { baseURL: 'https://ai.example:8443/api' })
  await own('https://ai.example:8443/api/models')
  await expect(own(`${base}/models`)).rejects.toMatchObject({ code: 'ERR_API_FOREIGN_URL' })
  expect(asked).toBe(1)
  for (const baseURL of ['', 'models', 'ftp://a.example'])
    expect(() => createKwaaiFetch(node, { baseURL })).toThrow(/baseURL/)
})

test('a base of another path is the API’s /v1', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  const fetch = createKwaaiFetch(api, { baseURL: 'http://ai.example/kwaai/v1/' })
  expect((await fetch('http://ai.example/kwaai/v1/models')).status).toBe(200)
  expect((await fetch('models')).status).toBe(200)
  expect((await fetch('http://ai.example/health')).status).toBe(200)
  expect((await fetch('http://ai.example/kwaai/health')).status).toBe(404)
})

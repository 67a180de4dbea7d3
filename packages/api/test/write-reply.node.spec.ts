// How answers reach a socket: what a stream of the platform does for `fetch`, the HTTP door does itself.
import { connect } from 'node:net'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { createApi, type ApiInit } from '@kwaai/api'
import { serveApi, type ApiServer } from '@kwaai/api/node'
import { afterEach, expect, test, vi } from 'vitest'
import { createFakeModel, say, type Script } from './support/fake-model.ts'
import { expectError, hello, parseEvents } from './support/requests.ts'

const open: ApiServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

const start = async (script: Script, init: ApiInit = {}) => {
  const clock = createFakeClock()
  const api = createApi(init, { models: [createFakeModel(script)], clock })
  const server = await serveApi(api, { port: 0, closeTimeoutMs: 1 })
  open.push(server)
  return { clock, server, url: `${server.url}/v1/chat/completions` }
}
const body = JSON.stringify({ model: 'fake', messages: hello, stream: true })
const post: RequestInit = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
const until = (condition: () => boolean): Promise<void> =>
  vi.waitFor(() => expect(condition()).toBe(true), 5000)

test('the head goes out before the first event of a model that takes its time, and comments keep it alive', async () => {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  let asked = false
  const { clock, url } = await start(
    async function* (request, signal) {
      asked = true
      await gate
      yield* say(['x'])(request, signal)
    },
    { keepAliveMs: 1000 }
  )
  const pending = fetch(url, post)
  await until(() => asked)
  await macrotask()
  await clock.advance(1000)
  const response = await pending
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  await until(() => clock.sleeping > 0)
  await clock.advance(1000)
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  expect((await reader?.read())?.value).toBe(': ping\n\n')
  release()
  let text = ''
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value
  expect(parseEvents(text).at(-1)?.data).toBe('[DONE]')
  expect(clock.sleeping).toBe(0)
})

test('a reader whose socket takes nothing for too long is cut, and its generation ends', async () => {
  let aborted = false
  let made = 0
  const { clock, server } = await start(
    async function* (_, signal) {
      signal.addEventListener('abort', () => (aborted = true))
      yield { type: 'start', promptTokens: 1, chain: [] }
      for (;;) {
        made += 1
        yield { type: 'text', index: 0, text: 'x'.repeat(100_000), tokens: [1] }
        await macrotask()
      }
    },
    { keepAliveMs: 1000, stallTimeoutMs: 3000, maxGenerations: 1 }
  )
  const socket = connect(server.port, '127.0.0.1')
  socket.pause()
  let closed = false
  socket.on('close', () => (closed = true)).on('error', () => undefined)
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
  socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
  let before = -1
  await vi.waitFor(
    () => {
      const still = made === before && made > 0
      before = made
      expect(still).toBe(true)
    },
    { timeout: 5000, interval: 100 }
  )
  await clock.advance(2000)
  expect(aborted).toBe(false)
  await clock.advance(1000)
  expect(aborted).toBe(true)
  socket.resume()
  await until(() => closed)
  expect(clock.sleeping).toBe(0)
})

test('frames of one turn arrive in their order, whatever their size', async () => {
  const pieces = Array.from({ length: 500 }, (_, i) => `${i}${'é'.repeat(i % 7 === 0 ? 20_000 : 3)};`)
  const { url } = await start(say(pieces))
  const events = parseEvents(await (await fetch(url, post)).text())
  const texts = events.flatMap(({ data }): string[] => (data === '[DONE]' ? [] : [JSON.parse(data)]))
  const content = texts.map((chunk) => contentOf(chunk)).join('')
  expect(content).toBe(pieces.join(''))
})

function contentOf(chunk: unknown): string {
  const found = /"content":"([^"]*)"/.exec(JSON.stringify(chunk))
  return found?.[1] ?? ''
}

test('whatever else has fetch is served too', async () => {
  const server = await serveApi(
    { fetch: async (request) => new Response(new URL(request.url).pathname, { status: 203 }) },
    { port: 0 }
  )
  open.push(server)
  const response = await fetch(`${server.url}/anything`)
  expect([response.status, await response.text()]).toEqual([203, '/anything'])
})

test('HEAD has the head of the answer and no body, errors are JSON', async () => {
  const { server } = await start(say(['x']))
  const response = await fetch(`${server.url}/v1/models`, { method: 'HEAD' })
  expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
    200,
    'application/json',
    ''
  ])
  await expectError(await fetch(`${server.url}/v1/models/nope`), 404, 'model_not_found', 'model')
})

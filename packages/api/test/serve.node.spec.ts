import { connect } from 'node:net'
import { KwaaiError } from '@kwaai/interface'
import { createFakeClock } from '@kwaai/testing'
import { createApi, type ApiInit } from '@kwaai/api'
import { serveApi, type ApiServer, type ServeApiOptions } from '@kwaai/api/node'
import { afterEach, expect, test, vi } from 'vitest'
import { createFakeModel, failAfter, say, type Script } from './support/fake-model.ts'
import { expectError, hello, parseEvents } from './support/requests.ts'
import { chatCompletion, errorObject } from './support/schemas.ts'

const globals = { Request: globalThis.Request, Response: globalThis.Response }
const open: ApiServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

async function start(
  script?: Script,
  init: ApiInit = {},
  options: Partial<ServeApiOptions> = {}
): Promise<ApiServer> {
  const server = await serveApi(createApi(init, { models: [createFakeModel(script)] }), {
    port: 0,
    ...options
  })
  open.push(server)
  return server
}

const post = (body: Record<string, unknown> = {}, init: RequestInit = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'fake', messages: hello, ...body }),
  ...init
})

/** Sends bytes as they are and reads until the server closes. */
function raw(server: ApiServer, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(text))
    let received = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (received += chunk))
    socket.on('close', () => resolve(received))
    socket.on('error', reject)
  })
}

/** Waits for something to become true in the turns of the event loop, as network events do. */
const until = (condition: () => boolean): Promise<void> =>
  vi.waitFor(() => expect(condition()).toBe(true), 5000)

test('serves over HTTP on this machine alone', async () => {
  const server = await start()
  expect(server.url).toBe(`http://127.0.0.1:${server.port}`)
  const answer = await fetch(`${server.url}/v1/chat/completions`, post())
  expect(chatCompletion.parse(await answer.json()).choices[0].message.content).toBe('Hello 🌍')
  const stream = await fetch(`${server.url}/v1/chat/completions`, post({ stream: true }))
  expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(stream.headers.has('content-encoding')).toBe(false)
  expect(parseEvents(await stream.text()).at(-1)?.data).toBe('[DONE]')
  const head = await fetch(`${server.url}/v1/models`, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([200, ''])
  await expectError(await fetch(`${server.url}/nope`), 404, 'unknown_url')
  await expectError(await fetch(`${server.url}/v1/models`, { method: 'DELETE' }), 405, 'method_not_supported')
})

test('leaves the process’s Request and Response as they are', async () => {
  await start()
  expect(globalThis.Request).toBe(globals.Request)
  expect(globalThis.Response).toBe(globals.Response)
})

test('a taken port is an error that says what to do', async () => {
  const { port } = await start()
  const error = await start(undefined, {}, { port }).catch((error: unknown) => error)
  expect(KwaaiError.is(error, 'ERR_API_PORT_IN_USE')).toBe(true)
  expect(String(error)).toMatch(new RegExp(`port ${port} on 127.0.0.1 is taken.*choose another port`))
})

test('an address that is not this machine’s or a port that is none is an error too', async () => {
  for (const options of [{ host: '192.0.2.1' }, { port: 70_000 }])
    await expect(start(undefined, {}, options)).rejects.toMatchObject({ code: 'ERR_API_LISTEN_FAILED' })
})

test('a client that goes away aborts the generation', async () => {
  let started = 0
  let aborted = 0
  const script: Script = async function* (_, signal) {
    started += 1
    signal.addEventListener('abort', () => (aborted += 1))
    yield { type: 'start', promptTokens: 1, chain: [] }
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  const server = await start(script, { maxGenerations: 1 })
  const complain = vi.spyOn(console, 'error')
  const url = `${server.url}/v1/chat/completions`

  const stream = new AbortController()
  const response = await fetch(url, post({ stream: true }, { signal: stream.signal }))
  await response.body?.getReader().read()
  stream.abort()
  await until(() => aborted === 1)

  const whole = new AbortController()
  const pending = fetch(url, post({}, { signal: whole.signal })).catch((error: unknown) => error)
  await until(() => started === 2)
  whole.abort()
  await pending
  await until(() => aborted === 2)
  expect(complain).not.toHaveBeenCalled()
  complain.mockRestore()
})

test('a failure in mid-stream arrives as an error event, and the connection serves on', async () => {
  const server = await start(failAfter(['x'], new Error('secret')))
  for (let round = 0; round < 2; round++) {
    const response = await fetch(`${server.url}/v1/chat/completions`, post({ stream: true }))
    const events = parseEvents(await response.text())
    expect(events.map(({ event }) => event)).toEqual(['message', 'message', 'error'])
  }
})

test('what is not HTTP, or hardly, is refused in JSON', async () => {
  const server = await start()
  const cases: [string, string, string][] = [
    ['rubbish\r\n\r\n', '400', 'invalid_request'],
    ['GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n', '400', 'invalid_request'],
    ['GET /v1/models HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', '400', 'invalid_request'],
    ['GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n', '403', 'host_not_allowed'],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`, '431', 'headers_too_large'],
    [
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n',
      '400',
      'invalid_request'
    ]
  ]
  for (const [text, status, code] of cases) {
    const [head = '', body = ''] = (await raw(server, text)).split('\r\n\r\n')
    expect([text.slice(0, 40), head.split(' ')[1]]).toEqual([text.slice(0, 40), status])
    expect(head).toMatch(/content-type: application\/json/i)
    expect(head).toMatch(/x-request-id: req_/i)
    expect(errorObject.parse(JSON.parse(body)).error.code).toBe(code)
  }
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
})

test('a body over the limit is refused while it arrives, claimed length or not', async () => {
  const server = await start(undefined, { maxBodyBytes: 1000 })
  const url = `${server.url}/v1/chat/completions`
  await expectError(await fetch(url, post({ user: 'x'.repeat(2000) })), 413, 'request_too_large')
  const head = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
  const claimed = await raw(server, `${head}Content-Length: 9000000000\r\nConnection: close\r\n\r\n{`)
  expect(claimed).toMatch(/^HTTP\/1.1 413 [^]*request_too_large/)
  const chunk = `400\r\n${'x'.repeat(1024)}\r\n`
  const chunked = await raw(server, `${head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk}`)
  expect(chunked).toMatch(/^HTTP\/1.1 413 [^]*request_too_large/)
})

test('a client that breaks off in the middle of its body leaves no trace', async () => {
  const server = await start(undefined, { maxGenerations: 1 })
  const head = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
  for (let round = 0; round < 5; round++) {
    await new Promise<void>((resolve) => {
      const socket = connect(server.port, '127.0.0.1', () => {
        socket.write(`${head}Content-Length: 100\r\n\r\n{"model":`, () => socket.destroy())
      })
      socket.on('close', () => resolve())
    })
  }
  await vi.waitFor(async () => {
    expect((await fetch(`${server.url}/v1/chat/completions`, post())).status).toBe(200)
  }, 5000)
})

test('a body that does not come gives its place back', async () => {
  const api = createApi({ maxGenerations: 1 }, { models: [createFakeModel(say(['x']))] })
  await using server = await serveApi(api, { port: 0, requestTimeoutMs: 500 })
  const received = await new Promise<string>((resolve) => {
    const head = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write(`${head}Content-Length: 100\r\n\r\n{`)
    )
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    socket.on('close', () => resolve(text))
  })
  expect(received).toMatch(/^HTTP\/1\.1 408 [^]*"code":"request_timeout"/)
  const messages = [{ role: 'user', content: 'Hello' }]
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'fake', messages })
  })
  expect(response.status).toBe(200)
})

test('close lets an open answer end, and cuts it when its time is up', async () => {
  const clock = createFakeClock()
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  let aborted = false
  const server = await start(
    async function* (request, signal) {
      signal.addEventListener('abort', () => (aborted = true))
      for await (const event of say(['x'])(request, signal)) {
        if (event.type === 'text') {
          const first = request.messages[0]?.content === 'wait'
          await (first ? gate : new Promise(() => undefined))
        }
        yield event
      }
    },
    {},
    { clock, closeTimeoutMs: 1000 }
  )
  const url = `${server.url}/v1/chat/completions`
  const patient = await fetch(url, post({ stream: true, messages: [{ role: 'user', content: 'wait' }] }))
  const hanging = await fetch(url, post({ stream: true }))
  const closed = server.close()
  expect(server.close()).toBe(closed)
  release()
  expect(parseEvents(await patient.text()).at(-1)?.data).toBe('[DONE]')
  expect(aborted).toBe(false)
  await clock.advance(1000)
  await closed
  await expect(hanging.text()).rejects.toThrow()
  await until(() => aborted)
  await expect(fetch(`${server.url}/health`)).rejects.toThrow()
  expect(clock.sleeping).toBe(0)
})

test('close does not wait for connections that are kept alive', async () => {
  const clock = createFakeClock()
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const script: Script = async function* (request, signal) {
    yield* say(['x'])(request, signal)
    await gate
  }
  const server = await start(script, {}, { clock })
  await (await fetch(`${server.url}/health`)).text()
  const response = await fetch(`${server.url}/v1/chat/completions`, post({ stream: true }))
  const closed = server.close()
  release()
  await response.text()
  // Time stands still: only the end of the answer can let it close.
  await closed
  expect(clock.sleeping).toBe(0)
})

test('a signal closes the server; one that is over opens none', async () => {
  const controller = new AbortController()
  const server = await start(undefined, {}, { signal: controller.signal })
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
  controller.abort()
  await server.close()
  await expect(fetch(`${server.url}/health`)).rejects.toThrow()
  await expect(start(undefined, {}, { signal: controller.signal })).rejects.toThrow()
})

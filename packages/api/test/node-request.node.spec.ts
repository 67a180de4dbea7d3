// What the HTTP door makes of a request of Node.js, where it could differ from what a `Request` would have said.
import { connect, type Socket } from 'node:net'
import { createMemoryStore, systemClock, systemRandom } from '@kwaai/interface/memory'
import { createApi, createApiKeys, type ApiComponents, type ApiInit } from '@kwaai/api'
import { serveApi, type ApiServer } from '@kwaai/api/node'
import { createFakeClock } from '@kwaai/testing'
import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { addressOf } from '../src/node/address.ts'
import { createFakeModel } from './support/fake-model.ts'
import { hello } from './support/requests.ts'

const open: ApiServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

async function start(init: ApiInit = {}, components: Partial<ApiComponents> = {}) {
  const clock = createFakeClock()
  const api = createApi(init, { models: [createFakeModel()], ...components })
  const server = await serveApi(api, { port: 0, clock })
  open.push(server)
  return { server, clock }
}

/** A connection and all that came over it. */
function dial(server: ApiServer): { socket: Socket; received: () => string; closed: () => boolean } {
  let text = ''
  let closed = false
  const socket = connect(server.port, '127.0.0.1').setEncoding('utf8')
  socket.on('data', (part: string) => (text += part))
  socket.on('error', () => undefined)
  socket.on('close', () => (closed = true))
  return { socket, received: () => text, closed: () => closed }
}

const until = (condition: () => boolean): Promise<void> =>
  vi.waitFor(() => expect(condition()).toBe(true), 5000)

async function exchange(server: ApiServer, head: string, body = ''): Promise<string> {
  const { socket, received, closed } = dial(server)
  socket.write(`${head}\r\nConnection: close\r\n\r\n${body}`)
  await until(closed)
  return received()
}
const statusOf = (answer: string): number => Number(answer.split(' ')[1])
const localhost = 'HTTP/1.1\r\nHost: localhost'
const body = JSON.stringify({ model: 'fake', messages: hello })
const post = `POST /v1/chat/completions ${localhost}\r\nContent-Length: ${body.length}\r\nContent-Type: application/json`

test('a field that comes twice counts as both', async () => {
  const keys = createApiKeys({}, { store: createMemoryStore(), clock: systemClock, random: systemRandom })
  const { secret } = await keys.create({ name: 'one' })
  const { server } = await start({}, { keys })
  const authorization = `Authorization: Bearer ${secret}`
  expect(statusOf(await exchange(server, `${post}\r\n${authorization}`, body))).toBe(200)
  for (const [twice, status] of [
    [`${authorization}\r\n${authorization}`, 401],
    [`${authorization}\r\nContent-Type: text/plain`, 415],
    [`${authorization}\r\nHost: evil.example`, 400],
    [`${authorization}\r\nOrigin: http://localhost\r\nOrigin: http://evil.example`, 403]
  ] as const)
    expect([twice, statusOf(await exchange(server, `${post}\r\n${twice}`, body))]).toEqual([twice, status])
})

test('addresses in all their forms', async () => {
  const { server } = await start()
  for (const [target, status] of [
    ['/health', 200],
    ['/health?a=/../b', 200],
    ['/v1/../health', 200],
    ['/v1/%2e%2E/health', 200],
    ['/%68ealth', 200],
    ['http://localhost/health', 200],
    ['http://localhost:1/v1/../health?a', 200],
    ['//evil.example/health', 404],
    ['/v1/./models/fake', 200],
    ['/v1\\models', 400],
    ['http://a b/health', 400],
    ['ftp://localhost/health', 400],
    ['*', 400]
  ] as const)
    expect([target, statusOf(await exchange(server, `GET ${target} ${localhost}`))]).toEqual([target, status])
  for (const host of ['a b', '', 'a@localhost', 'localhost/x', 'localhost?', '1.2.3.4.5', 'localhost:99999'])
    expect([host, statusOf(await exchange(server, `GET /health HTTP/1.1\r\nHost: ${host}`))]).toEqual([
      host,
      400
    ])
})

test('an address is what URL makes of it', () => {
  const part = fc.constantFrom(
    ...'/ . .. a Z 9 - _ ~ : %2e %2F %zz é ? # \\ @ ; = & + , ! [ ] | " < ^ \t'.split(' ')
  )
  const target = fc.array(part, { maxLength: 8 }).map((parts) => `/${parts.join('')}`)
  fc.assert(
    fc.property(target, (given) => {
      const { pathname, href } = new URL(`http://localhost:8080${given}`)
      if (given.split('?', 1)[0]?.includes('\\') === true)
        expect(() => addressOf(given, 'localhost:8080')).toThrow(TypeError)
      else expect(addressOf(given, 'localhost:8080')).toEqual({ url: href, path: pathname })
    }),
    { numRuns: 5000, seed: 3 }
  )
})

test('an answer without a body says nothing of its length', async () => {
  const { server } = await start({ allowedOrigins: ['https://chat.example'] })
  const asks = 'Origin: https://chat.example\r\nAccess-Control-Request-Method: POST'
  const preflight = await exchange(server, `OPTIONS /v1/models ${localhost}\r\n${asks}`)
  expect(preflight).toMatch(/^HTTP\/1\.1 204 [^]*access-control-allow-origin: https:\/\/chat\.example\r\n/)
  const head = await exchange(server, `HEAD /v1/models ${localhost}`)
  expect(head).toMatch(/^HTTP\/1\.1 200 [^]*content-type: application\/json\r\n/)
  for (const answer of [preflight, head]) {
    expect(answer).not.toMatch(/content-length/i)
    expect(answer).toMatch(/\r\n\r\n$/)
  }
})

test('what is left of a refused body is passed over, and the connection serves on', async () => {
  const { server, clock } = await start({ maxBodyBytes: 1000 })
  const { socket, received } = dial(server)
  const head = `POST /v1/chat/completions ${localhost}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked`
  const chunk = `400\r\n${'x'.repeat(1024)}\r\n`
  socket.write(`${head}\r\n\r\n${chunk}`)
  await until(() => received().includes('request_too_large'))
  expect(clock.sleeping).toBe(1)
  socket.write(`${chunk}0\r\n\r\nGET /health ${localhost}\r\n\r\n`)
  await until(() => received().includes('"status":"ok"'))
  await until(() => clock.sleeping === 0)
  socket.destroy()
})

test('a client that does not end its refused body is cut', async () => {
  const { server, clock } = await start({ maxBodyBytes: 1000 })
  const { socket, received, closed } = dial(server)
  socket.write(`${post.replace(/Content-Length: \d+/, 'Content-Length: 2000')}\r\n\r\n{`)
  await until(() => received().includes('request_too_large'))
  await until(() => clock.sleeping === 1)
  await clock.advance(499)
  expect(closed()).toBe(false)
  await clock.advance(1)
  await until(closed)
})

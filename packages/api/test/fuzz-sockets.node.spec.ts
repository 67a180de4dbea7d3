import { connect } from 'node:net'
import { createApi } from '@kwaai/api'
import { serveApi, type ApiServer } from '@kwaai/api/node'
import { createSeededRandom } from '@kwaai/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFuzzModels } from './fuzz-models.ts'
import { malformedRequests } from './fuzz-requests.ts'
import { errorObject } from './support/schemas.ts'

const maxBodyBytes = 20_000
const { components, asked } = createFuzzModels()
let server: ApiServer
beforeAll(async () => {
  server = await serveApi(createApi({ maxBodyBytes }, components), { port: 0, closeTimeoutMs: 1 })
})
afterAll(() => server.close())

/**
 * Sends bytes and reads all that comes until the server closes. What may be part of a request only is ended:
 * nobody would answer, but for the end.
 */
function exchange(bytes: Uint8Array | string, end = false): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port: server.port, host: '127.0.0.1' }, () => {
      if (end) socket.end(bytes)
      else socket.write(bytes)
    })
    let received = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (received += chunk))
    // What is cut off in mid-sending is refused as surely as what is answered.
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(received))
  })
}

/** The answers in what came over a connection; each has to be a whole one. */
function answersIn(text: string): { status: number; head: string; body: string }[] {
  const answers: { status: number; head: string; body: string }[] = []
  let rest = text
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    expect(end, rest.slice(0, 200)).toBeGreaterThan(0)
    const head = rest.slice(0, end)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN)
    const body = new TextDecoder().decode(new TextEncoder().encode(rest.slice(end + 4)).slice(0, length))
    answers.push({ status: Number(head.split(' ')[1]), head, body })
    rest = rest.slice(end + 4 + body.length)
  }
  return answers
}

function check(text: string): number[] {
  return answersIn(text).map(({ status, head, body }) => {
    expect(head).toMatch(/content-type: application\/json/i)
    expect(head).toMatch(/x-request-id: \S+/i)
    expect(errorObject.parse(JSON.parse(body)).error.type).toBe('invalid_request_error')
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    return status
  })
}

test('four hundred malformed requests over HTTP', async () => {
  asked.length = 0
  const makers = malformedRequests(createSeededRandom('sockets'), maxBodyBytes)
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const { what, request, statuses } = makers.next().value
        const made = request()
        const { pathname } = new URL(made.url)
        const headers = [...made.headers].filter(([name]) => name !== 'host')
        const bytes = await made.arrayBuffer().catch(() => undefined)
        const lines = [
          `${made.method} ${pathname} HTTP/1.1`,
          `Host: ${made.headers.get('host') ?? 'localhost'}`,
          'Connection: close',
          ...headers.map(([name, value]) => `${name}: ${value}`),
          // A body that breaks off is said to be longer than it is.
          `Content-Length: ${bytes?.byteLength ?? 100}`
        ]
        const sent = new Blob([`${lines.join('\r\n')}\r\n\r\n`, bytes ?? '{"model":'])
        const text = await exchange(new Uint8Array(await sent.arrayBuffer()), bytes === undefined)
        // Nobody is there to be told that the body ended too soon.
        if (bytes === undefined && text === '') return
        const [status] = check(text)
        // Node.js knows some methods only, and what it does not parse is no request at all.
        expect([...statuses, 400], `${what}: ${status}`).toContain(status)
      })
    )
  }
  expect(asked).toEqual([])
})

test('whoever expects what there is not is answered all the same', async () => {
  const lines = ['GET /health HTTP/1.1', 'Host: localhost', 'Connection: close', 'Expect: the-unexpected']
  const text = await exchange(`${lines.join('\r\n')}\r\n\r\n`)
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(text).toMatch(/\r\nx-request-id: req_/)
})

test('five hundred times what is hardly HTTP', async () => {
  asked.length = 0
  const random = createSeededRandom('rubbish')
  const below = (count: number): number => Math.floor(random.next() * count)
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T
  const body = '{"model":"fake","messages":[]}'
  const changed = (from: string | RegExp, to: readonly string[]): string => whole.replace(from, pick(to))
  const whole = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const parts: readonly (() => Uint8Array | string)[] = [
    () => random.bytes(1 + below(400)),
    () => whole.slice(0, below(whole.length)),
    () => {
      const bytes = new TextEncoder().encode(whole)
      for (let count = 1 + below(4); count > 0; count--) bytes[below(bytes.length)] = below(256)
      return bytes
    },
    () =>
      changed(/Content-Length: \d+/, [
        'Content-Length: 1e9',
        'Content-Length: 9999999999',
        'Transfer-Encoding: chunked'
      ]),
    () => changed('\r\n', ['\n', '\r', '\r\n ', '\r\n\r\n']),
    () => changed('POST', ['CONNECT']),
    () => `\u0016\u0003\u0001\u0002${'\u0000'.repeat(below(100))}`
  ]
  const wholes: readonly (() => string)[] = [
    () =>
      changed('Content-Length', [
        'Content-Length: 5\r\nContent-Length',
        'Transfer-Encoding: chunked\r\nContent-Length'
      ]),
    () =>
      changed(/Content-Length: \d+/, [
        'Content-Length: -1',
        'Content-Length: 0x10',
        'Content-Length: 99999999999999999999',
        'Content-Length: 5 5'
      ]),
    () =>
      changed(/Content-Length: \d+/, [
        'Transfer-Encoding: gzip',
        'Transfer-Encoding: x',
        'Transfer-Encoding: chunked, chunked'
      ]),
    () =>
      changed('localhost', [
        'a b',
        'evil.example',
        '',
        'localhost:99999999',
        'user@localhost',
        '[::1',
        '%00'
      ]),
    () =>
      changed('/v1/chat/completions', [
        'http://evil.example/',
        '*',
        '/\\evil',
        '//',
        'x:',
        '/%',
        '/v1/../..',
        '?'
      ]),
    () => changed('HTTP/1.1', ['HTTP/9.9', 'HTTP/1.0', 'http/1.1', 'ICAP/1.0', '']),
    () => changed('POST', ['TRACE', 'PUT', 'PRI', 'M-SEARCH', 'post', 'X'.repeat(3000)]),
    () =>
      changed('\r\n', [
        `\r\nX: ${'y'.repeat(20_000)}\r\n`,
        '\r\n: x\r\n',
        '\r\nA\u0000: x\r\n',
        '\r\nX: \u0000\r\n'
      ]),
    () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    () =>
      'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nOrigin: http://evil.example\r\n\r\n'
  ]
  let answers = 0
  for (let round = 0; round < 25; round++)
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        if (below(2) === 0) return void check(await exchange(pick(parts)(), true))
        const { length } = check(await exchange(pick(wholes)()))
        expect(length).toBeGreaterThan(0)
        answers += length
      })
    )
  expect(answers).toBeGreaterThan(200)
  expect(asked).toEqual([])
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
})

// In Node.js only: a browser sets Host, Origin and Sec-Fetch-Site itself. In both worlds: fuzz.spec.ts.
import { createMemoryStore, systemClock, systemRandom } from '@kwaai/interface/memory'
import { createSeededRandom } from '@kwaai/testing'
import { createApi, createApiKeys } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFuzzModels } from './fuzz-models.ts'
import { malformedRequests } from './fuzz-requests.ts'
import { routes } from './fuzz-routes.ts'
import { base } from './support/requests.ts'
import { errorObject } from './support/schemas.ts'

const maxBodyBytes = 20_000
const { components, asked } = createFuzzModels()
const api = createApi({ maxBodyBytes }, components)

test.each(routes.filter(({ path }) => !path.includes('nowhere')))(
  '$method $path is answered where nothing is wrong',
  async ({ method, path, body }) => {
    const init: RequestInit = { method, headers: { 'content-type': 'application/json' } }
    if (body !== undefined) init.body = JSON.stringify(body)
    const response = await api.fetch(new Request(base + path, init))
    expect([response.status, await response.text()]).toEqual([200, expect.anything()])
  }
)

test('10,000 malformed requests: a JSON error with the right status, and no model hears of them', async () => {
  asked.length = 0
  let count = 0
  const seen = new Map<number, number>()
  const wrong: string[] = []
  for (const { what, request, statuses } of malformedRequests(
    createSeededRandom('malformed'),
    maxBodyBytes
  )) {
    const response = await api.fetch(request())
    const text = await response.text()
    const problem = problemOf(response, text, statuses)
    if (problem !== undefined) wrong.push(`${what}: ${problem}`)
    seen.set(response.status, (seen.get(response.status) ?? 0) + 1)
    if (++count === 10_000) break
  }
  expect([...new Set(wrong)].slice(0, 20)).toEqual([])
  expect(asked).toEqual([])
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  // Every kind of refusal was among them.
  for (const status of [400, 403, 404, 405, 413, 415]) expect(seen.get(status)).toBeGreaterThan(100)
  // And it goes on.
  expect((await api.fetch(new Request(`${base}/health`))).status).toBe(200)
})

test.each(routes)('$method $path is nothing for pages of others', async ({ method, path, body }) => {
  asked.length = 0
  for (const headers of [
    // A name of somebody else that was pointed at this machine, and its port.
    { host: 'evil.example' },
    { host: 'evil.example:11435' },
    { host: '127.0.0.1.evil.example' },
    { host: '[::2]' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost.evil.example' },
    { 'sec-fetch-site': 'cross-site' }
  ]) {
    const init: RequestInit = { method, headers: { 'content-type': 'application/json', ...headers } }
    if (body !== undefined) init.body = JSON.stringify(body)
    const response = await api.fetch(new Request(base + path, init))
    expect(problemOf(response, await response.text(), [403])).toBeUndefined()
  }
  // What a page may send without asking first, a form's types, is refused by its type; the question is refused too.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    if (body === undefined) continue
    const init = { method, headers: { 'content-type': type }, body: JSON.stringify(body) }
    const response = await api.fetch(new Request(base + path, init))
    expect(problemOf(response, await response.text(), [415])).toBeUndefined()
  }
  const preflight = { origin: 'https://evil.example', 'access-control-request-method': method }
  const response = await api.fetch(new Request(base + path, { method: 'OPTIONS', headers: preflight }))
  expect(problemOf(response, await response.text(), [403])).toBeUndefined()
  expect(asked).toEqual([])
})

test('where keys are asked for, two thousand malformed requests without one learn nothing else', async () => {
  const store = createMemoryStore()
  const keys = createApiKeys({}, { store, clock: systemClock, random: systemRandom })
  await keys.create({ name: 'somebody' })
  const locked = createApi({ maxBodyBytes }, { ...components, keys })
  asked.length = 0
  let count = 0
  const seen = new Set<number>()
  for (const { what, request } of malformedRequests(createSeededRandom('locked'), maxBodyBytes)) {
    const made = request()
    const response = await locked.fetch(made)
    const open = ['/health', '/ready', '/openapi.json'].includes(new URL(made.url).pathname)
    const problem = problemOf(response, await response.text(), open ? [401, 403, 405] : [401, 403])
    expect(problem === undefined ? undefined : `${what}: ${problem}`).toBeUndefined()
    seen.add(response.status)
    if (++count === 2_000) break
  }
  expect(seen).toContain(401)
  expect(asked).toEqual([])
})

/** What is wrong with an answer; the text is looked at as what it is, not as what it says. */
function problemOf(response: Response, text: string, statuses: readonly number[]): string | undefined {
  if (!statuses.includes(response.status)) return `status ${response.status}: ${text.slice(0, 200)}`
  if (response.headers.get('content-type') !== 'application/json') return 'no JSON'
  if (!response.headers.get('x-request-id')) return 'no request id'
  if (response.headers.get('x-content-type-options') !== 'nosniff') return 'may be sniffed'
  if (response.headers.has('access-control-allow-origin')) return 'readable by other pages'
  const body = errorObject.safeParse(JSON.parse(text))
  if (!body.success) return `no error object: ${text.slice(0, 200)}`
  if (body.data.error.type !== 'invalid_request_error') return `the type ${body.data.error.type}`
  if (response.status === 405 && !response.headers.get('allow')) return 'no Allow'
  return undefined
}

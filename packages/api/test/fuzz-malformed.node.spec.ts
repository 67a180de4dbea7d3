// In Node.js only: a browser sets Host, Origin and Sec-Fetch-Site itself. In both worlds: fuzz.spec.ts.
import { createSeededRandom } from '@kwaai/testing'
import { createApi } from '@kwaai/api'
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

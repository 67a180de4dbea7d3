import { createApi } from '@kwaai/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFakeModel } from './support/fake-model.ts'
import { base, chat, hello } from './support/requests.ts'
import { chatCompletion, errorObject } from './support/schemas.ts'

const api = createApi({ maxBodyBytes: 20_000 }, { models: [createFakeModel()] })
const json = { 'content-type': 'application/json' }
const valid = { model: 'fake', messages: hello }
const fields = [
  'model messages max_tokens max_completion_tokens temperature top_p top_k min_p repetition_penalty',
  'frequency_penalty presence_penalty stop seed stream_options n logprobs tools response_format user metadata',
  'logit_bias kwaai __proto__ constructor'
].flatMap((line) => line.split(' '))

/** Always JSON in OpenAI's form, a status that fits it, a request id; never a crash, never a page. */
async function check(response: Response): Promise<number> {
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(response.headers.get('x-request-id')).toBeTruthy()
  const body: unknown = await response.json()
  if (response.status === 200) {
    chatCompletion.parse(body)
    return 200
  }
  const { error } = errorObject.parse(body)
  expect(error.type).toBe('invalid_request_error')
  return response.status
}

const rest = { numRuns: 400, seed: 7 }

test('any JSON as the body', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue({ maxDepth: 5 }), async (value) => {
      expect(await check(await api.fetch(chat(JSON.stringify(value))))).toBe(400)
    }),
    rest
  )
})

test('any bytes as the body', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const body = new Uint8Array(bytes)
      expect(await check(await api.fetch(chat('', { headers: json, body })))).toBe(400)
    }),
    rest
  )
})

test('a valid request with one field replaced by anything', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...fields), fc.jsonValue({ maxDepth: 4 }), async (name, value) => {
      const body = JSON.stringify({ ...valid, [name]: value })
      const status = await check(await api.fetch(chat(body)))
      expect([200, 400, ...(name === 'model' ? [404] : [])]).toContain(status)
    }),
    { ...rest, numRuns: 600 }
  )
})

const oddMessage = fc.record(
  {
    role: fc.oneof(fc.constantFrom('system', 'user', 'assistant', 'tool'), fc.jsonValue({ maxDepth: 1 })),
    content: fc.oneof(
      fc.string(),
      fc.jsonValue({ maxDepth: 2 }),
      fc.array(
        fc.record({ type: fc.constantFrom('text', 'image_url', 'x'), text: fc.jsonValue({ maxDepth: 0 }) })
      )
    ),
    tool_calls: fc.jsonValue({ maxDepth: 3 }),
    tool_call_id: fc.string()
  },
  { requiredKeys: [] }
)
test('odd messages', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(oddMessage, { maxLength: 4 }), async (messages) => {
      expect([200, 400]).toContain(
        await check(await api.fetch(chat(JSON.stringify({ model: 'fake', messages }))))
      )
    }),
    rest
  )
})

test('a valid request cut off or changed in one place', { timeout: 60_000 }, async () => {
  const text = JSON.stringify({ ...valid, temperature: 1, stop: ['x'] })
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.option(fc.string({ maxLength: 3 })), async (at, change) => {
      const body = change === null ? text.slice(0, at) : text.slice(0, at) + change + text.slice(at + 1)
      expect([200, 400, 404]).toContain(await check(await api.fetch(chat(body))))
    }),
    rest
  )
})

test('any method on any path', { timeout: 60_000 }, async () => {
  const methods = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'BREW')
  const paths = fc.oneof(
    fc.webPath({ size: 'xsmall' }),
    fc.string().map((text) => `/v1/${encodeURIComponent(text)}`),
    fc.constantFrom(
      '/v1/models/',
      '/v1/chat/completions/',
      '//v1/models',
      '/v1/models/%',
      '/v1/%2e%2e/x',
      '/V1/models'
    )
  )
  await fc.assert(
    fc.asyncProperty(methods, paths, async (method, path) => {
      const response = await api.fetch(new Request(new URL(base + path), { method }))
      expect(response.headers.get('content-type')).toBe('application/json')
      errorObject.parse(await response.json())
      expect([403, 404, 405]).toContain(response.status)
    }),
    rest
  )
})

test('deep and wide JSON does not bring it down', async () => {
  const deep = '['.repeat(9000) + ']'.repeat(9000)
  const wide = `[${'{},'.repeat(5000)}{}]`
  for (const value of [deep, wide, '1e999', `"${'\\ud800'.repeat(1000)}"`])
    for (const name of ['messages', 'stop', 'metadata', 'foo'])
      expect([200, 400]).toContain(
        await check(
          await api.fetch(
            chat(`{"model":"fake","messages":[{"role":"user","content":"x"}],"${name}":${value}}`)
          )
        )
      )
})

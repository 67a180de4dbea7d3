// The description against the handlers. In Node.js only, as ajv makes its checks by eval.
import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { createFakeClock } from '@kwaai/testing'
import { createApi, createApiKeys } from '@kwaai/api'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { operations } from '../src/openapi/operations.ts'
import { callFunctions, createFakeEmbedder, createFakeModel, sayEach } from './support/fake-model.ts'
import { base, get, hello, parseEvents } from './support/requests.ts'

const operation = z.looseObject({
  operationId: z.string(),
  requestBody: z.looseObject({ content: z.record(z.string(), z.unknown()) }).optional(),
  responses: z.record(z.string(), z.unknown())
})
const description = z.looseObject({
  openapi: z.literal('3.1.0'),
  servers: z.array(z.strictObject({ url: z.string() })),
  paths: z.record(z.string(), z.partialRecord(z.enum(['get', 'post', 'delete']), operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.record(z.string(), z.unknown())) }),
  security: z.array(z.record(z.string(), z.array(z.string())))
})

const caller = () => 'tester'
const make = (models = [createFakeModel(sayEach([['Hel', 'lo'], ['you']]))]) =>
  createApi({ caller, token: 'a-token-of-some-length' }, { models, embedders: [createFakeEmbedder()] })
const api = make()
const document = description.parse(await (await api.fetch(get('/openapi.json'))).json())

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false, strictRequired: false })
ajv.addVocabulary(['x-event-schema'])
for (const [name, schema] of Object.entries(document.components.schemas)) ajv.addSchema(schema, name)
const validator = (name: string): ValidateFunction => ajv.getSchema(name) ?? expect.fail(`no schema ${name}`)
const wrongWith = (name: string, value: unknown): string[] => {
  const validate = validator(name)
  return validate(value) === true ? [] : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message}`)
}

const post = (path: string, body: unknown): Request =>
  new Request(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })

test('describes each route, once, and where it is', () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  )
  expect(described.toSorted()).toEqual(Object.keys(operations).toSorted())
  const ids = Object.values(operations).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(document.servers).toEqual([{ url: base }])
  expect(document.security).toEqual([])
  // Every reference leads somewhere, and every schema is one.
  for (const [, name = ''] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g))
    validator(name)
  expect(JSON.stringify(document)).not.toContain('"served"')
})

test('with keys it says so, and is open to whoever has none', async () => {
  const keys = createApiKeys(
    {},
    { store: createMemoryStore(), clock: createFakeClock(), random: systemRandom }
  )
  const response = await createApi({}, { models: [], keys }).fetch(get('/openapi.json'))
  const own = description.parse(await response.json())
  expect(own.security).toEqual([{ apiKey: [] }])
  const open = Object.entries(operations).filter(([, { open: isOpen }]) => isOpen === true)
  expect(open.map(([route]) => route)).toEqual(['GET /health', 'GET /ready', 'GET /openapi.json'])
  expect(own.paths['/health']?.get).toMatchObject({ security: [] })
  expect(own.paths['/v1/models']?.get).not.toHaveProperty('security')
})

const user = (content: unknown) => [{ role: 'user', content }]
const assistant = (more: object) => [...hello, { role: 'assistant', ...more }]
const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }
const fn = (more: object = {}) => ({ type: 'function', function: { name: 'f', ...more } })
const odd: unknown[] = [null, 0, 1, -1, 0.5, 1e9, '', 'x', true, false, [], {}, ['a'], [1], { a: 1 }]

const generation: Record<string, unknown[]> = {
  temperature: [2, 2.1],
  top_p: [],
  top_k: [-1, 40, -2],
  min_p: [0.1],
  repetition_penalty: [10, 11],
  frequency_penalty: [-2, 2.5],
  presence_penalty: [],
  logit_bias: [{ '50256': -100 }, { '1': 101 }, { a: 1 }, { '01234567890': 1 }],
  stop: ['a', ['a', 'b', 'c', 'd'], ['a', 'b', 'c', 'd', 'e'], [''], ['a', 1]],
  seed: [-5, 2 ** 53],
  n: [2, 128, 129],
  stream: [],
  stream_options: [{ include_usage: true }, { include_usage: 1 }, { include_obfuscation: true }, { x: 1 }],
  user: [],
  kwaai: [
    { minTier: 'known', minScore: 1, maxLatencyMs: 5, region: ['eu'], maxPrice: 0 },
    { minTier: 'best' },
    { minScore: null, verify: false },
    { verify: true },
    { region: [] },
    { speed: 1 }
  ]
}
const tools: Record<string, unknown[]> = {
  parallel_tool_calls: [],
  metadata: [{ a: 'b' }],
  safety_identifier: [],
  prompt_cache_key: [],
  service_tier: ['auto', 'flex']
}

/** Of each route a request that is taken, and values to try in its fields. */
const routes: Record<
  string,
  { name: string; valid: Record<string, unknown>; fields: Record<string, unknown[]> }
> = {
  '/v1/chat/completions': {
    name: 'ChatCompletionRequest',
    valid: { model: 'fake', messages: hello },
    fields: {
      ...generation,
      ...tools,
      messages: [
        user([{ type: 'text', text: 'a' }]),
        user([{ type: 'text' }]),
        user([]),
        user([{ type: 'image_url', image_url: { url: 'data:,' } }]),
        user(5),
        [{ role: 'wizard', content: 'x' }],
        [{ content: 'x' }],
        [{ role: 'developer', content: 'x', name: 'y' }],
        assistant({}),
        assistant({ content: null }),
        assistant({ content: null, refusal: 'no' }),
        assistant({ content: 'x', function_call: null, audio: null, annotations: [] }),
        assistant({ content: 'x', function_call: {} }),
        assistant({ content: 'x', audio: { id: 'x' } }),
        assistant({ tool_calls: [] }),
        [...assistant({ tool_calls: [call] }), { role: 'tool', content: 'x', tool_call_id: 'call_1' }],
        assistant({ tool_calls: [{ ...call, type: 'custom' }] }),
        [{ role: 'tool', content: 'x' }]
      ],
      max_tokens: [7],
      logprobs: [],
      top_logprobs: [20, 21],
      response_format: [{ type: 'text' }, { type: 'json_object' }, { type: 'json_schema' }, { type: 'xml' }],
      tools: [
        [fn()],
        [fn({ parameters: { type: 'object' }, strict: true, description: null })],
        [fn({ name: 'a b' })],
        [{ type: 'custom', custom: { name: 'c' } }],
        [{ type: 'function' }]
      ],
      tool_choice: ['none', 'auto', 'required', 'any', fn(), { type: 'custom', custom: { name: 'c' } }],
      functions: [],
      function_call: ['none', { name: 'f' }],
      modalities: [['text'], ['text', 'audio']],
      audio: [],
      prediction: [],
      web_search_options: [],
      reasoning_effort: ['none', 'high'],
      verbosity: ['medium', 'low'],
      store: [],
      unheard_of: []
    }
  },
  '/v1/completions': {
    name: 'CompletionRequest',
    valid: { model: 'fake', prompt: 'Hello' },
    fields: {
      ...generation,
      n: [1],
      prompt: [[1, 2], [[1], [2]], ['a', 'b'], [[]], ['a', 1]],
      max_tokens: [0, 7],
      logprobs: [5, 6],
      echo: [],
      suffix: ['b']
    }
  },
  '/v1/embeddings': {
    name: 'EmbeddingRequest',
    valid: { model: 'fake-embedder', input: 'Hello' },
    fields: {
      input: [[1, 2], [[1], [2]], ['a', 'b'], [[]], ['a', ''], ['a', 1]],
      encoding_format: ['float', 'base64', 'hex'],
      dimensions: [8],
      user: []
    }
  },
  '/v1/responses': {
    name: 'ResponseRequest',
    valid: { model: 'fake', input: 'Hello', store: false },
    fields: {
      ...tools,
      instructions: [],
      stream: [],
      stream_options: [{ include_obfuscation: false }],
      max_output_tokens: [7],
      max_tool_calls: [],
      temperature: [2, 2.1],
      top_p: [],
      top_logprobs: [20, 21],
      include: [['message.output_text.logprobs'], ['everything']],
      truncation: ['disabled', 'auto'],
      background: [],
      conversation: [],
      prompt: [],
      reasoning: [
        { effort: 'none' },
        { effort: null, summary: null },
        { effort: 'high' },
        { summary: 'auto' }
      ],
      text: [
        { format: { type: 'text' } },
        { format: { type: 'xml' } },
        { verbosity: 'medium' },
        { verbosity: 'low' }
      ],
      tools: [
        [{ type: 'function', name: 'f' }],
        [{ type: 'function', name: 'f', parameters: { type: 'object' }, strict: null }],
        [{ type: 'function', name: 'a b' }],
        [{ type: 'web_search' }],
        [{ name: 'f' }]
      ],
      metadata: [
        Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, 'v'])),
        Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v']))
      ],
      input: [
        [{ role: 'user', content: 'x' }],
        [
          {
            type: 'message',
            role: 'assistant',
            content: [{ type: 'output_text', text: 'x', annotations: [] }]
          }
        ],
        [{ role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] }],
        [{ role: 'user', content: [{ type: 'refusal', refusal: 'no' }] }],
        [{ role: 'user', content: [{ type: 'input_image', image_url: 'data:,' }] }],
        [{ role: 'user', content: [] }],
        [{ role: 'user' }],
        [{ role: 'user', id: 'x' }],
        [{ role: 'wizard', content: 'x' }],
        [
          { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
          { type: 'function_call_output', call_id: 'c', output: 'x' }
        ],
        [{ type: 'function_call', call_id: 'c', name: 'f' }],
        [
          { type: 'reasoning', summary: [] },
          { role: 'user', content: 'x' }
        ],
        [{ type: 'computer_call' }],
        [{ type: 'item_reference' }],
        [{}]
      ],
      tool_choice: ['none', 'auto', 'any'],
      kwaai: generation['kwaai'] ?? []
    }
  }
}

/** Values whose meaning, not their form, is refused: no schema can say it. */
const beyondSchemas = (name: string, value: unknown): boolean =>
  // The embedder has eight dimensions, and takes texts of sixteen tokens.
  (name === 'dimensions' && typeof value === 'number' && value > 8) ||
  // There is nothing that could be named.
  (name === 'input' && JSON.stringify(value).includes('"id":"msg_1"'))

/** Whether a handler takes a body; that a model then fails is another matter. */
async function taken(path: string, body: unknown): Promise<boolean> {
  const response = await api.fetch(post(path, body))
  const { status } = response
  await response.body?.cancel()
  expect([path, body, [200, 400, 500].includes(status)]).toEqual([path, body, true])
  return status !== 400
}

test.each(Object.entries(routes))(
  '%s takes what is valid by its schema, and nothing else',
  async (path, route) => {
    const { name, valid, fields } = route
    const validate = validator(name)
    expect([validate(valid), await taken(path, valid)]).toEqual([true, true])
    const seen = { taken: 0, refused: 0 }
    const compare = async (body: Record<string, unknown>): Promise<void> => {
      const byHandler = await taken(path, body)
      expect([body, validate(body)]).toEqual([body, byHandler])
      seen[byHandler ? 'taken' : 'refused'] += 1
    }
    // Each value by itself.
    for (const [field, values] of Object.entries(fields))
      for (const value of [...values, ...odd]) {
        if (beyondSchemas(field, value)) continue
        await compare({ ...valid, [field]: value })
      }
    for (const field of Object.keys(valid)) {
      const { [field]: _, ...without } = valid
      await compare(without)
    }
    // Several together, most of them such as pass by themselves.
    const pairs = Object.entries(fields).map(([field, values]) =>
      fc.tuple(fc.constant(field), fc.constantFrom(...values, null, ...odd.slice(0, 2)))
    )
    const body = fc
      .array(fc.oneof(...pairs), { maxLength: 5 })
      .map((some) => ({ ...valid, ...Object.fromEntries(some) }))
    await fc.assert(fc.asyncProperty(body, compare), { numRuns: 150, seed: 7 })
    expect(seen.taken).toBeGreaterThan(30)
    expect(seen.refused).toBeGreaterThan(30)
  }
)

test('every reply of a live run is valid by its schema', async () => {
  const calling = createFakeModel(callFunctions([{ name: 'f', pieces: ['{"a"', ':1}'] }]), 'caller')
  const live = make([createFakeModel(sayEach([['Hel', 'lo'], ['you']])), calling])
  const checked: string[] = []
  const check = async (name: string, request: Request): Promise<unknown> => {
    const response = await live.fetch(request)
    checked.push(name)
    if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) {
      const value: unknown = await response.json()
      expect([name, wrongWith(name, value)]).toEqual([name, []])
      return value
    }
    const events = parseEvents(await response.text()).filter(({ data }) => data !== '[DONE]')
    expect(events.length).toBeGreaterThan(1)
    for (const { data } of events) expect([name, wrongWith(name, JSON.parse(data))]).toEqual([name, []])
    return undefined
  }
  await check('Health', get('/health'))
  await check('Ready', get('/ready'))
  await check('OpenApi', get('/openapi.json'))
  await check('ModelList', get('/v1/models'))
  await check('Model', get('/v1/models/fake'))
  await check('Model', get('/v1/models/fake-embedder'))
  const more = { n: 2, logprobs: true, top_logprobs: 3, stream_options: { include_usage: true } }
  for (const [model, extra] of [
    ['fake', more],
    ['caller', { tools: [fn()] }]
  ] as const) {
    const chat = { model, messages: hello, ...extra }
    await check('ChatCompletionChunk', post('/v1/chat/completions', { ...chat, stream: true }))
    await check('ChatCompletion', post('/v1/chat/completions', { ...chat, stream_options: null }))
  }
  for (const stream of [false, true])
    await check(
      'Completion',
      post('/v1/completions', { model: 'fake', prompt: 'x', n: 2, logprobs: 2, stream })
    )
  for (const encoding_format of ['float', 'base64'])
    await check(
      'EmbeddingList',
      post('/v1/embeddings', { model: 'fake-embedder', input: ['a', 'b'], encoding_format })
    )

  const one = createApi({ caller, token: 'a-token-of-some-length' }, { models: [createFakeModel(), calling] })
  for (const [model, tool] of [
    ['fake', []],
    ['caller', [{ type: 'function', name: 'f' }]]
  ] as const) {
    const ask = { model, input: 'Hello', tools: tool, top_logprobs: model === 'fake' ? 2 : 0 }
    const stream = await one.fetch(post('/v1/responses', { ...ask, stream: true }))
    for (const { data } of parseEvents(await stream.text()))
      expect(wrongWith('ResponseEvent', JSON.parse(data))).toEqual([])
    const value = Object(await (await one.fetch(post('/v1/responses', ask))).json())
    expect(wrongWith('Response', value)).toEqual([])
    const at = `/v1/responses/${value.id}`
    expect(wrongWith('Response', await (await one.fetch(get(at))).json())).toEqual([])
    expect(wrongWith('ResponseItemList', await (await one.fetch(get(`${at}/input_items`))).json())).toEqual(
      []
    )
    // To take something away needs the token.
    const without = await one.fetch(get(at, { method: 'DELETE' }))
    expect([without.status, wrongWith('Error', await without.json())]).toEqual([401, []])
    const headers = { authorization: 'Bearer a-token-of-some-length' }
    const deleted = await one.fetch(get(at, { method: 'DELETE', headers }))
    expect([deleted.status, wrongWith('ResponseDeleted', await deleted.json())]).toEqual([200, []])
  }
  for (const request of [
    get('/nope'),
    get('/v1/models/none'),
    post('/v1/embeddings', {}),
    get('/v1/embeddings')
  ])
    await check('Error', request)
  expect(new Set(checked).size).toBe(10)
})

test('the checks can fail', () => {
  expect(wrongWith('ChatCompletion', { id: 'x' })).not.toEqual([])
  expect(wrongWith('Error', { error: { message: 'x' } })).not.toEqual([])
  expect(wrongWith('ResponseEvent', { type: 'response.created' })).not.toEqual([])
})

import { KwaaiError, type Embedder } from '@kwaai/interface'
import { createApi, type ApiComponents } from '@kwaai/api'
import { macrotask } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { embeddingListSchema, modelListSchema, modelSchema } from '../src/reply-schemas.ts'
import { createFakeEmbedder, createFakeModel } from './support/fake-model.ts'
import { chat, expectError, get, post } from './support/requests.ts'

const embed = (body: Record<string, unknown> = {}, init: RequestInit = {}): Request =>
  post('/v1/embeddings', { model: 'fake-embedder', input: 'cat', ...body }, init)
const apiOf = (embedder: Embedder = createFakeEmbedder(), more: Partial<ApiComponents> = {}) =>
  createApi({}, { models: [createFakeModel()], embedders: [embedder], ...more })
const ask = async (body: Record<string, unknown> = {}, embedder?: Embedder) => {
  const response = await apiOf(embedder).fetch(embed(body))
  expect([response.status, response.status === 200 ? '' : await response.clone().text()]).toEqual([200, ''])
  return embeddingListSchema.parse(await response.json())
}
const numbers = (value: number[] | string | undefined): number[] => {
  if (typeof value !== 'string') return value ?? []
  const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0))
  const view = new DataView(bytes.buffer)
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true))
}

test('a vector an input, in their order', async () => {
  const embedder = createFakeEmbedder()
  const list = await ask({ input: ['cat', 'dog', 'cat'] }, embedder)
  expect(embedder.requests).toEqual([{ input: ['cat', 'dog', 'cat'] }])
  expect(list).toMatchObject({
    object: 'list',
    model: 'fake-embedder',
    usage: { prompt_tokens: 9, total_tokens: 9 }
  })
  expect(list.data.map(({ index, object }) => [index, object])).toEqual([
    [0, 'embedding'],
    [1, 'embedding'],
    [2, 'embedding']
  ])
  const [cat, dog, again] = list.data.map(({ embedding }) => numbers(embedding))
  expect(cat).toHaveLength(8)
  expect(again).toEqual(cat)
  expect(dog).not.toEqual(cat)
  expect(cat).toEqual(numbers((await ask()).data[0]?.embedding))
})

test('texts and tokens, one or several, reach the embedder as they are', async () => {
  for (const [input, expected] of [
    ['a', ['a']],
    [['a'], ['a']],
    [[1, 2], [[1, 2]]],
    [
      [[1, 2], [3]],
      [[1, 2], [3]]
    ]
  ] as const) {
    const embedder = createFakeEmbedder()
    await ask({ input }, embedder)
    expect(embedder.requests).toEqual([{ input: expected }])
  }
})

test('base64 holds the same little-endian f32 as the numbers', async () => {
  const [float, base64] = [await ask(), await ask({ encoding_format: 'base64' })]
  const text = base64.data[0]?.embedding
  expect(typeof text).toBe('string')
  expect(numbers(text)).toEqual(numbers(float.data[0]?.embedding))
  expect(await ask({ encoding_format: 'float', user: 'u' })).toEqual(float)
})

test('fewer dimensions are the first ones, of length 1 again', async () => {
  const full = numbers((await ask()).data[0]?.embedding)
  for (const encoding of ['float', 'base64']) {
    const cut = numbers((await ask({ dimensions: 3, encoding_format: encoding })).data[0]?.embedding)
    expect(cut).toHaveLength(3)
    expect(Math.hypot(...cut)).toBeCloseTo(1, 6)
    const norm = Math.hypot(...full.slice(0, 3))
    for (const [i, value] of cut.entries()) expect(value).toBeCloseTo((full[i] ?? 0) / norm, 6)
  }
  expect(numbers((await ask({ dimensions: 8 })).data[0]?.embedding)).toEqual(full)
})

const many = (count: number) => Array.from({ length: count }, () => 'x')
test.each<[Record<string, unknown>, string, string]>([
  [{ model: undefined }, 'model', 'missing_required_parameter'],
  [{ input: undefined }, 'input', 'missing_required_parameter'],
  [{ input: '' }, 'input', 'invalid_value'],
  [{ input: [] }, 'input', 'invalid_value'],
  [{ input: ['a', ''] }, 'input[1]', 'invalid_value'],
  [{ input: [[]] }, 'input[0]', 'invalid_value'],
  [{ input: ['a', 1] }, 'input[1]', 'invalid_type'],
  [{ input: [1.5] }, 'input[0]', 'invalid_type'],
  [{ input: 5 }, 'input', 'invalid_value'],
  [{ input: many(2049) }, 'input', 'invalid_value'],
  [{ encoding_format: 'hex' }, 'encoding_format', 'invalid_value'],
  [{ dimensions: 0 }, 'dimensions', 'invalid_value'],
  [{ dimensions: 9 }, 'dimensions', 'invalid_value']
])('%j is refused by name', async (body, param, code) => {
  const embedder = createFakeEmbedder()
  await expectError(await apiOf(embedder).fetch(embed(body)), 400, code, param)
  expect(embedder.requests).toEqual([])
})

test('2,048 inputs are taken', async () => {
  expect((await ask({ input: many(2048) })).data).toHaveLength(2048)
})

test('an input over the limit is refused with its place and both counts', async () => {
  const details = { promptTokens: 300, contextLength: 256, index: 1 }
  const embedder: Embedder = {
    ...createFakeEmbedder(),
    embed: () => Promise.reject(new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'secret', { details }))
  }
  const message = await expectError(
    await apiOf(embedder).fetch(embed({ input: ['a', 'b'] })),
    400,
    'context_length_exceeded',
    'input'
  )
  expect(message).toBe(
    'The maximum context length is 256 tokens, but input[1] is 300 tokens long; shorten it'
  )
})

test('an embedder that breaks its contract is an error, never a wrong vector', async () => {
  const usage = { promptTokens: 1, completionTokens: 0, cachedTokens: 0 }
  for (const vectors of [[], [Float32Array.of(1), Float32Array.of(1)], [Float32Array.of(NaN, 1)]]) {
    const embedder: Embedder = { ...createFakeEmbedder(), embed: async () => ({ vectors, usage }) }
    await expectError(await apiOf(embedder).fetch(embed()), 500, 'internal_error')
  }
})

test('a model that makes embeddings is asked too, and one that does not says so', async () => {
  const usage = { promptTokens: 5, completionTokens: 0, cachedTokens: 0 }
  const able = {
    ...createFakeModel(undefined, 'both'),
    embed: async () => ({ vectors: [Float32Array.of(0.6, 0.8)], usage })
  }
  const unable = {
    ...createFakeModel(undefined, 'chats'),
    embed: () =>
      Promise.reject(new KwaaiError('ERR_MODEL_UNSUPPORTED', 'no', { details: { param: 'input' } }))
  }
  const api = createApi({}, { models: [able, unable] })
  const list = embeddingListSchema.parse(await (await api.fetch(embed({ model: 'both' }))).json())
  expect(list.usage).toEqual({ prompt_tokens: 5, total_tokens: 5 })
  expect(list.data[0]?.embedding).toEqual(Array.from(Float32Array.of(0.6, 0.8)))
  await expectError(
    await api.fetch(embed({ model: 'both', dimensions: 3 })),
    400,
    'invalid_value',
    'dimensions'
  )
  await expectError(await api.fetch(embed({ model: 'chats' })), 400, 'unsupported_parameter', 'input')
  await expectError(await api.fetch(embed({ model: 'nope' })), 404, 'model_not_found', 'model')
})

test('embedders are listed after the models, and told apart by what they say', async () => {
  const api = apiOf(createFakeEmbedder())
  const list = modelListSchema.parse(await (await api.fetch(get('/v1/models'))).json())
  expect(list.data.map(({ id }) => id)).toEqual(['fake', 'fake-embedder'])
  const one = await (await api.fetch(get('/v1/models/fake-embedder'))).json()
  expect(modelSchema.parse(one)).toEqual({
    id: 'fake-embedder',
    object: 'model',
    created: 1_700_000_001,
    owned_by: 'kwaai',
    context_length: 16,
    dimensions: 8
  })
  await expectError(await api.fetch(chat({ model: 'fake-embedder' })), 400, 'model_not_supported', 'model')
})

test('an embedder that is not there yet is a 503 that says when to come again', async () => {
  const details = { retryAfterMs: 1200 }
  const embedder: Embedder = {
    ...createFakeEmbedder(),
    embed: () => Promise.reject(new KwaaiError('ERR_MODEL_UNAVAILABLE', 'it is being fetched', { details }))
  }
  const response = await apiOf(embedder).fetch(embed())
  expect(response.headers.get('retry-after-ms')).toBe('1200')
  await expectError(response, 503, 'model_unavailable')
})

test('a client that leaves is not waited for, its place is free, and what it was is told', async () => {
  const outcomes: unknown[] = []
  const seen: AbortSignal[] = []
  const deaf: Embedder = {
    ...createFakeEmbedder({ id: 'deaf' }),
    embed: (_, options) => {
      if (options?.signal !== undefined) seen.push(options.signal)
      return new Promise<never>(() => undefined)
    }
  }
  const client = new AbortController()
  const api = createApi(
    { maxGenerations: 1 },
    {
      models: [],
      embedders: [deaf, createFakeEmbedder()],
      logger: {
        log(_, event, fields) {
          if (event === 'api.generation') outcomes.push(fields)
        }
      }
    }
  )
  const pending = api.fetch(embed({ model: 'deaf' }, { signal: client.signal }))
  while (seen.length === 0) await macrotask()
  await expectError(await api.fetch(embed()), 429, 'too_many_generations')
  client.abort()
  expect(seen[0]?.aborted).toBe(true)
  await expectError(await pending, 499, 'request_cancelled')
  expect((await api.fetch(embed())).status).toBe(200)
  expect(outcomes).toEqual([
    expect.objectContaining({ kind: 'embedding', outcome: 'cancelled', model: 'deaf' }),
    expect.objectContaining({
      kind: 'embedding',
      outcome: 'completed',
      promptTokens: 3,
      completionTokens: 0
    })
  ])
})

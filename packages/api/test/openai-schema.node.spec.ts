// Every kind of answer against OpenAI's published description, where the folder of test data has it.
import { KwaaiError } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import {
  chatChunkSchema,
  chatCompletionSchema,
  completionSchema,
  embeddingListSchema,
  errorSchema,
  modelListSchema,
  modelSchema
} from '../src/reply-schemas.ts'
import {
  callFunctions,
  createFakeEmbedder,
  createFakeModel,
  failAfter,
  say,
  sayEach
} from './support/fake-model.ts'
import { publishedCheck } from './support/published-schema.ts'
import { chat, get, parseEvents, post } from './support/requests.ts'

const own = {
  ListModelsResponse: modelListSchema,
  Model: modelSchema,
  CreateChatCompletionResponse: chatCompletionSchema,
  CreateChatCompletionStreamResponse: chatChunkSchema,
  CreateCompletionResponse: completionSchema,
  CreateEmbeddingResponse: embeddingListSchema,
  ErrorResponse: errorSchema
}
type SchemaName = keyof typeof own

const published = publishedCheck()

/** Against our own, always; against the published one, where it is there. */
function wrongWith(name: SchemaName, value: unknown): string[] {
  const result = own[name].safeParse(value)
  const ours = result.success ? [] : result.error.issues.map(({ message }) => message)
  return [...(published?.(name, value) ?? []), ...ours]
}

test('the check can fail', () => {
  expect(wrongWith('CreateChatCompletionResponse', { id: 'x', object: 'chat.completion' })).not.toEqual([])
  expect(wrongWith('CreateChatCompletionStreamResponse', { id: 1 })).not.toEqual([])
  expect(wrongWith('ErrorResponse', { error: { message: 'x', type: 'y' } })).not.toEqual([])
  expect(wrongWith('Model', { id: 'x', object: 'list', created: 1, owned_by: 'x' })).not.toEqual([])
  expect(wrongWith('ListModelsResponse', { object: 'list', data: [{}] })).not.toEqual([])
  expect(wrongWith('CreateCompletionResponse', { id: 'x', object: 'text_completion' })).not.toEqual([])
  expect(wrongWith('CreateEmbeddingResponse', { object: 'list', data: [{ index: 0 }] })).not.toEqual([])
})

const api = createApi(
  {},
  {
    models: [
      createFakeModel(say(['a', '', '🌍'], 'length')),
      createFakeModel(say([]), 'empty'),
      createFakeModel(failAfter(['x'], new Error('lost')), 'broken'),
      createFakeModel(failAfter([], new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no chain')), 'gone'),
      createFakeModel(failAfter([], new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'long')), 'short'),
      createFakeModel(sayEach([['a', 'b'], ['c']]), 'two'),
      createFakeModel(
        callFunctions([
          { name: 'f', pieces: ['{"a"', ':1}'] },
          { name: 'f', pieces: [] }
        ]),
        'caller'
      )
    ],
    embedders: [createFakeEmbedder()]
  }
)

const tools = [{ type: 'function', function: { name: 'f' } }]
const probabilities = { logprobs: true, top_logprobs: 3 }
const complete = (body: Record<string, unknown> = {}): Request =>
  post('/v1/completions', { model: 'fake', prompt: 'Once', ...body })
const embed = (body: Record<string, unknown> = {}): Request =>
  post('/v1/embeddings', { model: 'fake-embedder', input: ['a', 'b'], ...body })

test.each<[string, () => Request, SchemaName]>([
  ['models', () => get('/v1/models'), 'ListModelsResponse'],
  ['a model', () => get('/v1/models/fake'), 'Model'],
  ['an answer', () => chat(), 'CreateChatCompletionResponse'],
  ['an empty answer', () => chat({ model: 'empty' }), 'CreateChatCompletionResponse'],
  ['an embedder', () => get('/v1/models/fake-embedder'), 'Model'],
  ['two answers', () => chat({ model: 'two', n: 2 }), 'CreateChatCompletionResponse'],
  ['calls', () => chat({ model: 'caller', tools }), 'CreateChatCompletionResponse'],
  ['probabilities', () => chat(probabilities), 'CreateChatCompletionResponse'],
  ['a completion', () => complete(), 'CreateCompletionResponse'],
  ['completions', () => complete({ model: 'two', n: 2, prompt: ['a', 'b'] }), 'CreateCompletionResponse'],
  ['old probabilities', () => complete({ logprobs: 2 }), 'CreateCompletionResponse'],
  ['embeddings', () => embed(), 'CreateEmbeddingResponse'],
  ['fewer dimensions', () => embed({ dimensions: 2 }), 'CreateEmbeddingResponse'],
  ['no input', () => embed({ input: [] }), 'ErrorResponse'],
  ['no prompt', () => complete({ prompt: null }), 'ErrorResponse'],
  ['no explanation', () => get('/v1/kwaai/explain'), 'ErrorResponse'],
  ['no such model', () => get('/v1/models/nope'), 'ErrorResponse'],
  ['no such address', () => get('/nope'), 'ErrorResponse'],
  ['a wrong method', () => get('/v1/chat/completions'), 'ErrorResponse'],
  ['no JSON', () => chat('{'), 'ErrorResponse'],
  ['a field of the wrong type', () => chat({ temperature: 'hot' }), 'ErrorResponse'],
  ['an unsupported field', () => chat({ store: true }), 'ErrorResponse'],
  ['a model that breaks its contract', () => chat({ n: 2 }), 'ErrorResponse'],
  ['a failing model', () => chat({ model: 'broken' }), 'ErrorResponse'],
  ['no chain', () => chat({ model: 'gone' }), 'ErrorResponse'],
  ['too long', () => chat({ model: 'short' }), 'ErrorResponse']
])('%s', async (_, request, name) => {
  const value: unknown = await (await api.fetch(request())).json()
  expect(wrongWith(name, value)).toEqual([])
})

test.each([
  {},
  { stream_options: { include_usage: true } },
  { model: 'empty' },
  { model: 'broken' },
  { model: 'two', n: 2 },
  { model: 'caller', tools },
  probabilities
])('every event of a stream (%j)', async (body) => {
  const events = parseEvents(await (await api.fetch(chat({ stream: true, ...body }))).text())
  expect(events.length).toBeGreaterThan(2)
  for (const { event, data } of events) {
    if (data === '[DONE]') continue
    const name = event === 'error' ? 'ErrorResponse' : 'CreateChatCompletionStreamResponse'
    expect(wrongWith(name, JSON.parse(data))).toEqual([])
  }
})

test.each([{}, { logprobs: 2 }, { model: 'two', n: 2, echo: true }])(
  'every event of streamed completions (%j)',
  async (body) => {
    const events = parseEvents(await (await api.fetch(complete({ stream: true, ...body }))).text())
    expect(events.pop()?.data).toBe('[DONE]')
    for (const { data } of events) {
      const value = completionSchema.parse(JSON.parse(data))
      // The description has no word for an answer that goes on: its finish reason is never null.
      for (const choice of value.choices) choice.finish_reason ??= 'stop'
      expect(wrongWith('CreateCompletionResponse', value)).toEqual([])
    }
  }
)

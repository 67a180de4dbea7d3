// Every kind of answer against OpenAI's published description, where the folder of test data has it.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KwaaiError } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, say } from './support/fake-model.ts'
import { chat, get, parseEvents } from './support/requests.ts'
import { chatChunk, chatCompletion, errorObject, model, modelList } from './support/schemas.ts'

const own = {
  ListModelsResponse: modelList,
  Model: model,
  CreateChatCompletionResponse: chatCompletion,
  CreateChatCompletionStreamResponse: chatChunk,
  ErrorResponse: errorObject
}
type SchemaName = keyof typeof own

const path = join(process.env['KWAAI_TEST_DATA'] ?? '', 'openai-openapi.json')
const published = process.env['KWAAI_TEST_DATA'] !== undefined && existsSync(path)
if (!published)
  console.warn(
    'openai-openapi.json is not in the folder KWAAI_TEST_DATA names: answers are checked against our own schemas.'
  )

/** OpenAPI 3.0's `nullable` beside no `type` is rewritten; JSON Schema 2020-12 has no such word. */
function withoutNullable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNullable)
  if (typeof value !== 'object' || value === null) return value
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withoutNullable(inner)])
  )
  if (nullable !== true) return rest
  return { anyOf: [rest, { type: 'null' }] }
}

function validators(): (name: SchemaName, value: unknown) => string[] {
  if (!published)
    return (name, value) => {
      const result = own[name].safeParse(value)
      return result.success ? [] : result.error.issues.map(({ message }) => message)
    }
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  const document: unknown = JSON.parse(readFileSync(path, 'utf8'))
  ajv.addSchema({ $id: 'openai', ...Object(withoutNullable(document)) })
  return (name, value) => {
    const validate = ajv.getSchema(`openai#/components/schemas/${name}`)
    if (validate === undefined) return [`the description has no ${name}`]
    return validate(value) === true
      ? []
      : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message}`)
  }
}
const wrongWith = validators()

test('the check can fail', () => {
  expect(wrongWith('CreateChatCompletionResponse', { id: 'x', object: 'chat.completion' })).not.toEqual([])
  expect(wrongWith('CreateChatCompletionStreamResponse', { id: 1 })).not.toEqual([])
  expect(wrongWith('ErrorResponse', { error: { message: 'x', type: 'y' } })).not.toEqual([])
  expect(wrongWith('Model', { id: 'x', object: 'list', created: 1, owned_by: 'x' })).not.toEqual([])
  expect(wrongWith('ListModelsResponse', { object: 'list', data: [{}] })).not.toEqual([])
})

const api = createApi(
  {},
  {
    models: [
      createFakeModel(say(['a', '', '🌍'], 'length')),
      createFakeModel(say([]), 'empty'),
      createFakeModel(failAfter(['x'], new Error('lost')), 'broken'),
      createFakeModel(failAfter([], new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no chain')), 'gone'),
      createFakeModel(failAfter([], new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'long')), 'short')
    ]
  }
)

test.each<[string, () => Request, SchemaName]>([
  ['models', () => get('/v1/models'), 'ListModelsResponse'],
  ['a model', () => get('/v1/models/fake'), 'Model'],
  ['an answer', () => chat(), 'CreateChatCompletionResponse'],
  ['an empty answer', () => chat({ model: 'empty' }), 'CreateChatCompletionResponse'],
  ['no such model', () => get('/v1/models/nope'), 'ErrorResponse'],
  ['no such address', () => get('/nope'), 'ErrorResponse'],
  ['a wrong method', () => get('/v1/chat/completions'), 'ErrorResponse'],
  ['no JSON', () => chat('{'), 'ErrorResponse'],
  ['a field of the wrong type', () => chat({ temperature: 'hot' }), 'ErrorResponse'],
  ['an unsupported field', () => chat({ n: 2 }), 'ErrorResponse'],
  ['a failing model', () => chat({ model: 'broken' }), 'ErrorResponse'],
  ['no chain', () => chat({ model: 'gone' }), 'ErrorResponse'],
  ['too long', () => chat({ model: 'short' }), 'ErrorResponse']
])('%s', async (_, request, name) => {
  const value: unknown = await (await api.fetch(request())).json()
  expect(wrongWith(name, value)).toEqual([])
})

test.each([{}, { stream_options: { include_usage: true } }, { model: 'empty' }, { model: 'broken' }])(
  'every event of a stream (%j)',
  async (body) => {
    const events = parseEvents(await (await api.fetch(chat({ stream: true, ...body }))).text())
    expect(events.length).toBeGreaterThan(2)
    for (const { event, data } of events) {
      if (data === '[DONE]') continue
      const name = event === 'error' ? 'ErrorResponse' : 'CreateChatCompletionStreamResponse'
      expect(wrongWith(name, JSON.parse(data))).toEqual([])
    }
  }
)

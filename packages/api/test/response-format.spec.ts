import { KwaaiError } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter } from './support/fake-model.ts'
import { chat, expectError } from './support/requests.ts'

const schema = { type: 'object', properties: { a: { type: 'integer', multipleOf: 3 } } }
const format = (json: unknown) => ({ response_format: { type: 'json_schema', json_schema: json } })

const ask = async (body: Record<string, unknown>, error?: unknown) => {
  const model = createFakeModel(error === undefined ? undefined : failAfter([], error))
  const response = await createApi({}, { models: [model] }).fetch(chat(body))
  return { response, constraint: model.requests[0]?.constraint, asked: model.requests.length }
}

test('formats reach the model as what the text has to follow', async () => {
  const cases: [Record<string, unknown>, unknown][] = [
    [{ response_format: { type: 'text' } }, undefined],
    [{ response_format: { type: 'json_object' } }, { type: 'json' }],
    [format({ name: 'a', schema }), { type: 'json-schema', schema }],
    [
      format({ name: 'a', schema, strict: true, description: 'x' }),
      { type: 'json-schema', schema, strict: true }
    ],
    [format({ name: 'a', schema: {}, strict: null }), { type: 'json-schema', schema: {} }]
  ]
  for (const [body, expected] of cases) {
    const { response, constraint } = await ask(body)
    expect(response.status).toBe(200)
    expect(constraint).toEqual(expected)
  }
})

test.each<[Record<string, unknown>, string, string]>([
  [{ response_format: 'json' }, 'response_format', 'invalid_type'],
  [{ response_format: {} }, 'response_format.type', 'missing_required_parameter'],
  [{ response_format: { type: 'xml' } }, 'response_format.type', 'invalid_value'],
  [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema', 'missing_required_parameter'],
  [format({ schema }), 'response_format.json_schema.name', 'missing_required_parameter'],
  [format({ name: 'a b', schema }), 'response_format.json_schema.name', 'invalid_value'],
  [format({ name: 'x'.repeat(65), schema }), 'response_format.json_schema.name', 'invalid_value'],
  [format({ name: 'a' }), 'response_format.json_schema.schema', 'missing_required_parameter'],
  [format({ name: 'a', schema: 'object' }), 'response_format.json_schema.schema', 'invalid_type'],
  [format({ name: 'a', schema, strict: 'yes' }), 'response_format.json_schema.strict', 'invalid_type']
])('%j is refused by name', async (body, param, code) => {
  const { response, asked } = await ask(body)
  await expectError(response, 400, code, param)
  expect(asked).toBe(0)
})

test('a keyword that the model cannot keep is named, with the place of the schema', async () => {
  const error = new KwaaiError('ERR_MODEL_UNSUPPORTED', 'secret', {
    details: { param: 'constraint', keyword: 'multipleOf', path: '/properties/a' }
  })
  const { response } = await ask(format({ name: 'a', schema, strict: true }), error)
  const message = await expectError(
    response,
    400,
    'unsupported_parameter',
    'response_format.json_schema.schema'
  )
  expect(message).toContain("'multipleOf' at /properties/a of 'response_format.json_schema.schema'")
  expect(message).not.toContain('secret')
})

test('a schema that makes no sense is a 400 with the model’s words', async () => {
  const error = new KwaaiError('ERR_MODEL_INVALID_REQUEST', 'type is no type', {
    details: { param: 'constraint' }
  })
  const { response } = await ask(format({ name: 'a', schema: { type: 5 } }), error)
  expect(await expectError(response, 400, 'invalid_value', 'response_format.json_schema.schema')).toBe(
    'type is no type'
  )
})

test('a model without a grammar refuses the format by its name', async () => {
  const error = new KwaaiError('ERR_MODEL_UNSUPPORTED', 'no', { details: { param: 'constraint' } })
  const { response } = await ask({ response_format: { type: 'json_object' } }, error)
  await expectError(response, 400, 'unsupported_parameter', 'response_format')
})

// Every kind of answer of /v1/responses against OpenAI's published description, where the test data has it.
import { KwaaiError } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { callFunctions, createFakeModel, failAfter, say } from './support/fake-model.ts'
import { get, parseEvents } from './support/requests.ts'
import { publishedCheck } from './support/published-schema.ts'
import { responseEvent, responseItemList, responseObject } from './support/response-schemas.ts'
import { respondTo } from './support/responses.ts'
import { errorObject } from './support/schemas.ts'

const own = {
  Response: responseObject,
  ResponseStreamEvent: responseEvent,
  ResponseItemList: responseItemList,
  ErrorResponse: errorObject
}
const published = publishedCheck()
const wrongWith = (name: keyof typeof own, value: unknown): string[] => {
  const result = own[name].safeParse(value)
  const mistakes = result.success ? [] : result.error.issues.map(({ message }) => message)
  return [...mistakes, ...(published?.(name, value) ?? [])]
}

const tools = [
  { type: 'function', name: 'f', description: 'F', parameters: { type: 'object' }, strict: true },
  { type: 'function', name: 'g', parameters: null, strict: null }
]
const calls = [
  { name: 'f', pieces: ['{"a":', '1}'] },
  { name: 'g', pieces: ['{}'] }
]
const settings = {
  instructions: 'Be brief.',
  metadata: { a: 'b' },
  max_output_tokens: 20,
  user: 'u',
  safety_identifier: 's',
  prompt_cache_key: 'k',
  text: { format: { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true } }
}
const input = [
  { role: 'developer', content: 'Rules' },
  { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'x' }] },
  { role: 'assistant', content: 'Yes' },
  { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
  { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'x' }] }
]
const bodies: Record<string, unknown>[] = [
  {},
  settings,
  { input },
  { text: { format: { type: 'json_object' } } },
  { model: 'empty' },
  { model: 'cut' },
  { include: ['message.output_text.logprobs'], top_logprobs: 2 },
  { model: 'caller', tools },
  { model: 'caller', tools, tool_choice: { type: 'function', name: 'f' } },
  {
    model: 'caller',
    tools,
    tool_choice: {
      type: 'allowed_tools',
      mode: 'auto',
      tools: [
        { type: 'function', name: 'f' },
        { type: 'function', name: 'g' }
      ]
    }
  }
]
const api = createApi(
  {},
  {
    models: [
      createFakeModel(say(['a', '', '🌍'])),
      createFakeModel(say([]), 'empty'),
      createFakeModel(say(['a'], 'length'), 'cut'),
      createFakeModel(callFunctions(calls), 'caller'),
      createFakeModel(failAfter(['x'], new Error('lost')), 'broken'),
      createFakeModel(failAfter([], new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no chain')), 'gone')
    ]
  }
)

test('the check can fail', () => {
  expect(wrongWith('Response', { id: 'x', object: 'response' })).not.toEqual([])
  expect(wrongWith('ResponseStreamEvent', { type: 'response.created' })).not.toEqual([])
  expect(wrongWith('ResponseItemList', { object: 'list', data: [{}] })).not.toEqual([])
  if (published === undefined) return
  expect(published('Response', { id: 'x', object: 'response' })).not.toEqual([])
  expect(published('ResponseStreamEvent', { type: 'response.created' })).not.toEqual([])
  expect(published('ResponseItemList', { object: 'list', data: [{}] })).not.toEqual([])
})

test.each(bodies)('an answer to %j, asked for again, and its items', async (body) => {
  const response = await api.fetch(respondTo(body))
  expect(response.status).toBe(200)
  const value: { id: string } = await response.json()
  expect(wrongWith('Response', value)).toEqual([])
  const again = await api.fetch(get(`/v1/responses/${value.id}`))
  expect(wrongWith('Response', await again.json())).toEqual([])
  const items = await api.fetch(get(`/v1/responses/${value.id}/input_items`))
  expect(wrongWith('ResponseItemList', await items.json())).toEqual([])
})

test.each([...bodies, { model: 'broken' }])('each event of an answer to %j', async (body) => {
  const events = parseEvents(await (await api.fetch(respondTo({ ...body, stream: true }))).text())
  expect(events.length).toBeGreaterThan(4)
  for (const { data } of events) expect(wrongWith('ResponseStreamEvent', JSON.parse(data))).toEqual([])
})

test.each<[string, () => Request]>([
  ['no such answer', () => get('/v1/responses/resp_0')],
  ['a wrong method', () => get('/v1/responses', { method: 'GET' })],
  ['no JSON', () => respondTo('{')],
  ['an unsupported field', () => respondTo({ background: true })],
  ['no such answer before', () => respondTo({ previous_response_id: 'resp_0' })],
  ['a failing model', () => respondTo({ model: 'broken' })],
  ['no chain', () => respondTo({ model: 'gone' })]
])('%s', async (_, request) => {
  expect(wrongWith('ErrorResponse', await (await api.fetch(request())).json())).toEqual([])
})

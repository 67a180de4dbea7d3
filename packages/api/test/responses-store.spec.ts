import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock } from '@kwaai/testing'
import { createApi, type Api, type ApiComponents, type ApiInit } from '@kwaai/api'
import { expect, test } from 'vitest'
import { callFunctions, createFakeModel, failAfter, say, type FakeModel } from './support/fake-model.ts'
import { base, expectError, get } from './support/requests.ts'
import { responseDeleted, responseItemList, responseObject } from './support/response-schemas.ts'
import { answered, respondTo, streamed } from './support/responses.ts'

const token = 'a token of twenty and more'.replaceAll(' ', '-')
const setup = (
  init: ApiInit = {},
  components: Partial<ApiComponents> = {}
): { api: Api; model: FakeModel; clock: ReturnType<typeof createFakeClock> } => {
  const model = createFakeModel(say(['Hi']))
  const clock = createFakeClock()
  const caller = ({ headers }: Pick<Request, 'headers'>): string => headers.get('x-user') ?? 'alice'
  const api = createApi({ token, caller, ...init }, { models: [model], clock, ...components })
  return { api, model, clock }
}
const remove = (
  id: string,
  headers: Record<string, string> = { authorization: `Bearer ${token}` }
): Request => get(`/v1/responses/${id}`, { method: 'DELETE', headers })
const items = async (
  api: Api,
  id: string,
  query = ''
): Promise<ReturnType<typeof responseItemList.parse>> => {
  const response = await api.fetch(get(`/v1/responses/${id}/input_items${query}`))
  return responseItemList.parse(await response.json())
}

test('an answer can be asked for again, in one piece and streamed', async () => {
  const { api } = setup()
  const whole = await answered(api)
  const again = await api.fetch(get(`/v1/responses/${whole.id}`))
  expect(again.status).toBe(200)
  expect(responseObject.parse(await again.json())).toEqual(whole)

  const last = (await streamed(api)).at(-1)
  if (last?.type !== 'response.completed') throw new Error('no response')
  const kept = await api.fetch(get(`/v1/responses/${last.response.id}?stream=false`))
  expect(await kept.json()).toEqual(last.response)
  await expectError(
    await api.fetch(get(`/v1/responses/${whole.id}?stream=true`)),
    400,
    'unsupported_parameter',
    'stream'
  )
})

test('a conversation goes on from the answer before, with instructions of its own', async () => {
  const { api, model } = setup()
  const first = await answered(api, { input: 'One', instructions: 'Count.' })
  const second = await answered(api, { input: 'Two', previous_response_id: first.id })
  const third = await answered(api, {
    input: [{ role: 'user', content: 'Three' }],
    previous_response_id: second.id,
    instructions: 'Go on.'
  })
  expect(third.previous_response_id).toBe(second.id)
  expect(model.requests.at(-1)?.messages).toEqual([
    { role: 'system', content: 'Go on.' },
    { role: 'user', content: 'One' },
    { role: 'assistant', content: 'Hi' },
    { role: 'user', content: 'Two' },
    { role: 'assistant', content: 'Hi' },
    { role: 'user', content: 'Three' }
  ])
  expect((await items(api, third.id)).data).toMatchObject([{ role: 'user', content: [{ text: 'Three' }] }])
})

test('a call is answered in the next request', async () => {
  const tools = [{ type: 'function', name: 'f', parameters: {}, strict: true }]
  const model = createFakeModel(callFunctions([{ name: 'f', pieces: ['{"a":1}'] }]))
  const api = createApi({}, { models: [model] })
  const first = await answered(api, { tools })
  const unanswered = respondTo({ tools, previous_response_id: first.id })
  expect(await expectError(await api.fetch(unanswered), 400, 'invalid_value', 'input')).toContain('call_0')
  await answered(api, {
    tools,
    previous_response_id: first.id,
    input: [{ type: 'function_call_output', call_id: 'call_0', output: 'done' }]
  })
  expect(model.requests.at(-1)?.messages).toEqual([
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: '', toolCalls: [{ id: 'call_0', name: 'f', arguments: '{"a":1}' }] },
    { role: 'tool', content: 'done', toolCallId: 'call_0' }
  ])
})

test('an item of an earlier answer can be named instead of repeated', async () => {
  const { api, model } = setup()
  const first = await answered(api, { input: 'One' })
  const given = (await items(api, first.id)).data[0]?.id ?? ''
  const said = first.output[0]?.id ?? ''
  const input = [{ type: 'item_reference', id: given }, { id: said }, { role: 'user', content: 'Two' }]
  await answered(api, { input })
  const expected = [
    { role: 'user', content: 'One' },
    { role: 'assistant', content: 'Hi' },
    { role: 'user', content: 'Two' }
  ]
  expect(model.requests.at(-1)?.messages).toEqual(expected)
  // What the conversation has already is not said twice.
  await answered(api, { input, previous_response_id: first.id })
  expect(model.requests.at(-1)?.messages).toEqual(expected)
  const foreign = respondTo(
    { input },
    { headers: { 'content-type': 'application/json', 'x-user': 'mallory' } }
  )
  await expectError(await api.fetch(foreign), 400, 'item_not_found', 'input[0].id')
})

test('what is named often may not be more than a conversation may be', async () => {
  const { api, model } = setup({ responses: { maxResponseBytes: 4000 } })
  const first = await answered(api, { input: 'x'.repeat(500) })
  const id = (await items(api, first.id)).data[0]?.id ?? ''
  const naming = (times: number): Request =>
    respondTo({ store: false, input: Array.from({ length: times }, () => ({ type: 'item_reference', id })) })
  expect((await api.fetch(naming(5))).status).toBe(200)
  await expectError(await api.fetch(naming(4096)), 400, 'invalid_value', 'input[6].id')
  expect(model.requests).toHaveLength(2)
})

test('the items of a request are paged, newest first', async () => {
  const { api } = setup()
  const input = Array.from({ length: 25 }, (_, n) => ({
    role: 'user',
    content: String(n),
    id: `own_${n % 24}`
  }))
  const { id } = await answered(api, { input })
  const all = await items(api, id, '?limit=100&order=asc')
  expect(
    all.data.map((item) => item.type === 'message' && 'content' in item && item.content[0])
  ).toMatchObject(input.map(({ content }) => ({ text: content })))
  expect(new Set(all.data.map((item) => item.id)).size).toBe(25)
  expect(all).toMatchObject({ has_more: false, first_id: 'own_0', last_id: all.data[24]?.id })

  const first = await items(api, id)
  expect(first.data).toEqual(all.data.toReversed().slice(0, 20))
  expect(first.has_more).toBe(true)
  const second = await items(api, id, `?after=${first.last_id}`)
  expect(second.data).toEqual(all.data.toReversed().slice(20))
  expect(second.has_more).toBe(false)
  expect(await items(api, id, `?after=${second.last_id}`)).toMatchObject({
    data: [],
    first_id: '',
    last_id: ''
  })
  for (const [query, param] of [
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['order=up', 'order'],
    ['after=nothing', 'after']
  ] as const)
    await expectError(
      await api.fetch(get(`/v1/responses/${id}/input_items?${query}`)),
      400,
      'invalid_value',
      param
    )
})

test('only its caller sees an answer, goes on from it, or takes it away', async () => {
  const { api } = setup()
  const { id } = await answered(api)
  const other = { headers: { 'x-user': 'mallory' } }
  for (const path of [`/v1/responses/${id}`, `/v1/responses/${id}/input_items`])
    await expectError(await api.fetch(get(path, other)), 404, 'response_not_found')
  const cancel = get(`/v1/responses/${id}/cancel`, { method: 'POST', ...other })
  await expectError(await api.fetch(cancel), 404, 'response_not_found')
  const taken = remove(id, { authorization: `Bearer ${token}`, 'x-user': 'mallory' })
  await expectError(await api.fetch(taken), 404, 'response_not_found')
  const goesOn = respondTo(
    { previous_response_id: id },
    { headers: { 'content-type': 'application/json', 'x-user': 'mallory' } }
  )
  await expectError(await api.fetch(goesOn), 400, 'previous_response_not_found', 'previous_response_id')
  expect((await api.fetch(get(`/v1/responses/${id}`))).status).toBe(200)
})

test('what is taken away is gone, and a conversation over it with it', async () => {
  const { api } = setup()
  const first = await answered(api)
  const second = await answered(api, { previous_response_id: first.id })
  expect((await api.fetch(remove(first.id, {}))).status).toBe(401)
  const removed = await api.fetch(remove(first.id))
  expect(responseDeleted.parse(await removed.json()).id).toBe(first.id)
  await expectError(await api.fetch(remove(first.id)), 404, 'response_not_found')
  await expectError(await api.fetch(get(`/v1/responses/${first.id}`)), 404, 'response_not_found')
  const over = respondTo({ previous_response_id: second.id })
  await expectError(await api.fetch(over), 400, 'previous_response_not_found', 'previous_response_id')
})

test('only what runs in the background could be cancelled', async () => {
  const { api } = setup()
  const { id } = await answered(api)
  const cancel = get(`/v1/responses/${id}/cancel`, { method: 'POST' })
  await expectError(await api.fetch(cancel), 400, 'response_not_cancellable')
  const put = await api.fetch(get(`/v1/responses/${id}`, { method: 'PATCH' }))
  expect(put.headers.get('allow')).toBe('GET, HEAD, DELETE')
})

test('what is not to be kept is not', async () => {
  const { api } = setup()
  const answer = await answered(api, { store: false })
  expect(answer.store).toBe(false)
  await expectError(await api.fetch(get(`/v1/responses/${answer.id}`)), 404, 'response_not_found')
})

test('nothing is kept for whoever has no name, and asking for it is refused', async () => {
  const { api } = setup({ caller: () => undefined })
  const answer = await answered(api)
  expect(answer.store).toBe(false)
  await expectError(await api.fetch(get(`/v1/responses/${answer.id}`)), 404, 'response_not_found')
  await expectError(await api.fetch(respondTo({ store: true })), 400, 'unsupported_parameter', 'store')
})

test('answers outlive the process, for their time and within their number', async () => {
  const store = createMemoryStore()
  const { id } = await answered(setup({}, { store }).api)
  const { api, clock } = setup({ responses: { ttlMs: 1000, maxPerCaller: 2 } }, { store })
  const status = async (of: string): Promise<number> => (await api.fetch(get(`/v1/responses/${of}`))).status
  expect(await status(id)).toBe(200)
  const [second, third] = [await answered(api), await answered(api)]
  expect([await status(id), await status(second.id), await status(third.id)]).toEqual([404, 200, 200])
  await clock.advance(1000)
  expect(await status(third.id)).toBe(404)
})

test('an answer too large to be kept, or a store that fails, takes nobody’s answer away', async () => {
  const logged: unknown[] = []
  const logger = { log: (...entry: unknown[]) => void logged.push(entry) }
  const small = setup({ responses: { maxResponseBytes: 100 } }, { logger }).api
  expect((await answered(small)).store).toBe(false)
  const broken = {
    ...createMemoryStore(),
    batch: () => Promise.reject(new Error('the disk is full'))
  }
  const full = setup({}, { store: broken, logger }).api
  expect((await answered(full)).store).toBe(false)
  expect((await streamed(full)).at(-1)).toMatchObject({
    type: 'response.completed',
    response: { store: false }
  })
  expect(JSON.stringify(logged)).toMatch(/too large.*the disk is full/)
  expect(JSON.stringify(logged)).not.toContain('Hello')
})

test('a failed answer is not kept', async () => {
  const api = createApi({}, { models: [createFakeModel(failAfter(['x'], new Error('lost')))] })
  const failed = (await streamed(api)).at(-2)
  if (failed?.type !== 'response.failed') throw new Error('it did not fail')
  await expectError(await api.fetch(get(`/v1/responses/${failed.response.id}`)), 404, 'response_not_found')
})

test('a conversation has an end', async () => {
  const { api } = setup({ responses: { maxResponseBytes: 4000 } })
  const first = await answered(api, { input: 'x'.repeat(2600) })
  const second = await answered(api, { input: 'x', previous_response_id: first.id })
  const third = respondTo({ previous_response_id: second.id })
  const message = await expectError(await api.fetch(third), 400, 'invalid_value', 'previous_response_id')
  expect(message).toContain('begin a new one')
})

test.each([{ ttlMs: 0 }, { maxPerCaller: Number.NaN }, { maxBytes: -1 }, { maxResponseBytes: Infinity }])(
  '%j is no way to keep answers',
  (responses) => {
    expect(() => setup({ responses })).toThrow(/positive/)
  }
)

test('addresses are those of this server', () => {
  expect(new URL(remove('x').url).origin).toBe(base)
})

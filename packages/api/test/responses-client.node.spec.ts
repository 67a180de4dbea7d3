// What the official client makes of /v1/responses, in one process.
import { createApi, type Api } from '@kwaai/api'
import OpenAI, { APIError, BadRequestError, NotFoundError } from 'openai'
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { callFunctions, createFakeModel, failAfter, say, type Script } from './support/fake-model.ts'

const token = 'a-token-of-twenty-characters'
const connect = (script: Script): { client: OpenAI; model: ReturnType<typeof createFakeModel> } => {
  const model = createFakeModel(script)
  const api: Api = createApi({ token }, { models: [model] })
  const client = new OpenAI({
    apiKey: token,
    baseURL: 'http://localhost:11435/v1',
    maxRetries: 0,
    fetch: (url, init) => api.fetch(new Request(url, init))
  })
  return { client, model }
}
const ask = { model: 'fake', input: 'Hello' }

test('creates, retrieves, lists and deletes', async () => {
  const { client } = connect(say(['Hel', 'lo']))
  const created = await client.responses.create({ ...ask, metadata: { a: 'b' } })
  expect([created.output_text, created.status, created.metadata]).toEqual(['Hello', 'completed', { a: 'b' }])
  expect(await client.responses.retrieve(created.id)).toEqual(created)

  const input = Array.from({ length: 7 }, (_, n) => ({ role: 'user' as const, content: String(n) }))
  const { id } = await client.responses.create({ ...ask, input })
  const seen: string[] = []
  for await (const item of client.responses.inputItems.list(id, { limit: 3, order: 'asc' }))
    if (item.type === 'message' && item.content[0]?.type === 'input_text') seen.push(item.content[0].text)
  expect(seen).toEqual(input.map(({ content }) => content))

  await client.responses.delete(created.id)
  await expect(client.responses.retrieve(created.id)).rejects.toThrow(NotFoundError)
  await expect(client.responses.cancel(id)).rejects.toThrow(BadRequestError)
})

test('a conversation goes on from its last answer, or from its items', async () => {
  const { client, model } = connect(say(['Yes']))
  const first = await client.responses.create({ ...ask, input: 'One' })
  await client.responses.create({ ...ask, input: 'Two', previous_response_id: first.id })
  const expected = [
    { role: 'user', content: 'One' },
    { role: 'assistant', content: 'Yes' },
    { role: 'user', content: 'Two' }
  ]
  expect(model.requests.at(-1)?.messages).toEqual(expected)
  await client.responses.create({
    ...ask,
    input: [
      { role: 'user', content: 'One' },
      ...first.output.filter((item) => item.type === 'message'),
      { role: 'user', content: 'Two' }
    ]
  })
  expect(model.requests.at(-1)?.messages).toEqual(expected)
  const lost = client.responses.create({ ...ask, previous_response_id: `resp_${'0'.repeat(32)}` })
  await expect(lost).rejects.toMatchObject({ status: 400, code: 'previous_response_not_found' })
})

test('streams, as events and with the helper', async () => {
  const { client } = connect(say(['Hel', 'lo', ' 🌍']))
  const types: string[] = []
  for await (const event of await client.responses.create({ ...ask, stream: true })) types.push(event.type)
  expect([types[0], types.at(-1)]).toEqual(['response.created', 'response.completed'])

  const pieces: string[] = []
  const stream = client.responses.stream(ask)
  stream.on('response.output_text.delta', ({ delta }) => pieces.push(delta))
  const final = await stream.finalResponse()
  expect([pieces, final.output_text]).toEqual([['Hel', 'lo', ' 🌍'], 'Hello 🌍'])
})

test('parses an answer by its schema', async () => {
  const { client, model } = connect(say(['{"city":"Oslo",', '"degrees":-3}']))
  const format = zodTextFormat(z.object({ city: z.string(), degrees: z.number() }), 'weather')
  const parsed = await client.responses.parse({ ...ask, text: { format } })
  expect(parsed.output_parsed).toEqual({ city: 'Oslo', degrees: -3 })
  expect(model.requests[0]?.constraint).toMatchObject({ type: 'json-schema', strict: true })
  const stream = client.responses.stream({ ...ask, text: { format } })
  expect((await stream.finalResponse()).output_parsed).toEqual({ city: 'Oslo', degrees: -3 })
})

test('functions are called, and what they gave goes back', async () => {
  const script: Script = (request, signal) =>
    request.messages.some(({ role }) => role === 'tool')
      ? say(['It is cold.'])(request, signal)
      : callFunctions([{ name: 'weather', pieces: ['{"city":', '"Oslo"}'] }])(request, signal)
  const { client, model } = connect(script)
  const tool = zodResponsesFunction({ name: 'weather', parameters: z.object({ city: z.string() }) })
  for (const store of [true, false]) {
    const first = await client.responses.stream({ ...ask, tools: [tool], store }).finalResponse()
    const [call] = first.output
    if (call?.type !== 'function_call') throw new Error('it called nothing')
    expect(call.parsed_arguments).toEqual({ city: 'Oslo' })
    const given = { type: 'function_call_output' as const, call_id: call.call_id, output: '-3' }
    const second = await client.responses.create(
      store
        ? { ...ask, tools: [tool], previous_response_id: first.id, input: [given] }
        : { ...ask, tools: [tool], store, input: [{ role: 'user', content: 'Hello' }, call, given] }
    )
    expect(second.output_text).toBe('It is cold.')
    expect(model.requests.at(-1)?.messages).toMatchObject([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', toolCalls: [{ name: 'weather', arguments: '{"city":"Oslo"}' }] },
      { role: 'tool', content: '-3' }
    ])
  }
})

test('a failure in mid-stream is an error, and what leaves is told to the model', async () => {
  const { client } = connect(failAfter(['par'], new Error('lost')))
  const types: string[] = []
  const reading = (async () => {
    for await (const event of await client.responses.create({ ...ask, stream: true })) types.push(event.type)
  })()
  await expect(reading).rejects.toThrow(APIError)
  expect(types.at(-1)).toBe('response.failed')

  let told = (): void => undefined
  const left = new Promise<void>((resolve) => (told = resolve))
  const endless = connect(async function* (_, signal) {
    signal.addEventListener('abort', told, { once: true })
    yield { type: 'start', promptTokens: 1, chain: [] }
    for (;;) yield { type: 'text', index: 0, text: 'x', tokens: [1] }
  }).client
  const stream = await endless.responses.create({ ...ask, stream: true })
  for await (const event of stream) if (event.type === 'response.output_text.delta') break
  await left
})

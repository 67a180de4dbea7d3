import { KwaaiError } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, macrotask } from '@kwaai/testing'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { callFunctions, createFakeModel, failAfter, say, type Script } from './support/fake-model.ts'
import { expectError } from './support/requests.ts'
import { answered, eventsOf, respondTo, streamed, textOf } from './support/responses.ts'

const pieces = ['Grüße', ' ', '', '👩‍🚀', '\n\ndata: [DONE]', '"\\', '\u2028']

test('answers in one piece', async () => {
  const clock = createFakeClock({ now: 1_750_000_000_999 })
  const model = createFakeModel()
  const api = createApi({}, { models: [model], clock, random: createSeededRandom(1) })
  const answer = await answered(api, {
    instructions: 'Be brief.',
    metadata: { topic: 'greeting' },
    max_output_tokens: 20,
    temperature: 0.5,
    top_p: 0.9,
    user: 'u'
  })
  expect(answer).toMatchObject({
    created_at: 1_750_000_000,
    completed_at: 1_750_000_000,
    status: 'completed',
    instructions: 'Be brief.',
    metadata: { topic: 'greeting' },
    max_output_tokens: 20,
    temperature: 0.5,
    top_p: 0.9,
    user: 'u',
    output: [{ role: 'assistant', status: 'completed', content: [{ text: 'Hello 🌍' }] }],
    usage: {
      input_tokens: 11,
      input_tokens_details: { cached_tokens: 4 },
      output_tokens: 3,
      total_tokens: 14
    }
  })
  expect(model.requests).toEqual([
    {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hello' }
      ],
      maxTokens: 20,
      temperature: 0.5,
      topP: 0.9,
      caller: 'local'
    }
  ])
})

test('what a limit cut short is incomplete', async () => {
  const api = createApi({}, { models: [createFakeModel(say(['a', 'b'], 'length'))] })
  const answer = await answered(api, { max_output_tokens: 2 })
  expect(answer).toMatchObject({
    status: 'incomplete',
    completed_at: null,
    incomplete_details: { reason: 'max_output_tokens' },
    output: [{ status: 'incomplete', content: [{ text: 'ab' }] }]
  })
  const events = await streamed(api)
  expect(events.at(-1)).toMatchObject({ type: 'response.incomplete', response: { status: 'incomplete' } })
})

test('tells its events in order, and they hold what the answer in one piece holds', async () => {
  const api = createApi({}, { models: [createFakeModel(say(pieces))], random: createSeededRandom(2) })
  const events = await streamed(api)
  expect(events.map(({ type }) => type)).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    ...pieces.filter((piece) => piece !== '').map(() => 'response.output_text.delta'),
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed'
  ])
  const deltas = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''))
  const whole = await answered(api)
  expect(deltas.join('')).toBe(textOf(whole))

  const first = events[0]
  const last = events.at(-1)
  if (first?.type !== 'response.created' || last?.type !== 'response.completed')
    throw new Error('no response')
  expect(first.response).toMatchObject({ status: 'in_progress', output: [] })
  expect(last.response).toEqual({
    ...whole,
    id: first.response.id,
    created_at: first.response.created_at,
    completed_at: last.response.completed_at,
    output: [{ ...whole.output[0], id: last.response.output[0]?.id }]
  })
  // What an item holds is said when it is done, and again at the end.
  const done = events.find((event) => event.type === 'response.output_item.done')
  expect(done).toMatchObject({ item: last.response.output[0] })
})

test('an answer that says nothing is an empty message', async () => {
  const api = createApi({}, { models: [createFakeModel(say([]))] })
  expect((await answered(api)).output).toMatchObject([{ status: 'completed', content: [{ text: '' }] }])
  expect((await streamed(api)).map(({ type }) => type)).not.toContain('response.output_text.delta')
})

const weather = { type: 'function', name: 'weather', parameters: { type: 'object' }, strict: true }
const clockTool = { type: 'function', name: 'clock', description: 'The time' }

/** Says something, calls two functions whose pieces mix, and is cut short. */
const mixed: Script = async function* () {
  yield { type: 'start', promptTokens: 3, chain: [] }
  yield { type: 'text', index: 0, text: 'Let me see.', tokens: [1] }
  yield { type: 'tool-call', index: 0, call: 0, id: 'call_a', name: 'weather', arguments: '{"c', tokens: [1] }
  yield { type: 'tool-call', index: 0, call: 1, id: 'call_b', name: 'clock', arguments: '', tokens: [1] }
  yield { type: 'tool-call', index: 0, call: 0, arguments: 'ity":"Oslo"}', tokens: [1] }
  yield { type: 'tool-call', index: 0, call: 1, arguments: '{', tokens: [1] }
  yield { type: 'finish', index: 0, reason: 'length' }
  yield { type: 'usage', usage: { promptTokens: 3, completionTokens: 5, cachedTokens: 0 } }
}

test('functions are items of their own', async () => {
  const calls = [
    { name: 'weather', pieces: ['{"city":', '"Oslo"}'] },
    { name: 'clock', pieces: ['{}'] }
  ]
  const model = createFakeModel(callFunctions(calls))
  const api = createApi({}, { models: [model] })
  const body = { tools: [weather, clockTool], tool_choice: 'required', parallel_tool_calls: true }
  const answer = await answered(api, body)
  expect(answer.output).toMatchObject([
    {
      type: 'function_call',
      status: 'completed',
      call_id: 'call_0',
      name: 'weather',
      arguments: '{"city":"Oslo"}'
    },
    { type: 'function_call', status: 'completed', call_id: 'call_1', name: 'clock', arguments: '{}' }
  ])
  expect(answer.tools).toEqual([
    { ...weather, description: null },
    { ...clockTool, parameters: null, strict: false }
  ])
  expect(model.requests[0]).toMatchObject({
    tools: [
      { name: 'weather', parameters: { type: 'object' }, strict: true },
      { name: 'clock', description: 'The time', strict: false }
    ],
    toolChoice: 'required',
    parallelToolCalls: true
  })

  const events = await streamed(api, body)
  expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
    'created',
    'in_progress',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.delta',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.done',
    'output_item.done',
    'function_call_arguments.done',
    'output_item.done',
    'completed'
  ])
})

test('text before calls is a message, and of calls that mix the last begun is the one cut short', async () => {
  const api = createApi({}, { models: [createFakeModel(mixed)] })
  const answer = await answered(api, { tools: [weather, clockTool] })
  expect(answer.output).toMatchObject([
    { type: 'message', status: 'completed', content: [{ text: 'Let me see.' }] },
    { type: 'function_call', status: 'completed', arguments: '{"city":"Oslo"}' },
    { type: 'function_call', status: 'incomplete', arguments: '{' }
  ])
  const events = await streamed(api, { tools: [weather, clockTool] })
  for (const [index, item] of answer.output.entries()) {
    const done = events.find(
      (event) => event.type === 'response.output_item.done' && event.output_index === index
    )
    expect(done).toMatchObject({ item: { type: item.type, status: item.status } })
    const pieces = events.flatMap((event) =>
      event.type === 'response.function_call_arguments.delta' && event.output_index === index
        ? [event.delta]
        : []
    )
    if (item.type === 'function_call') expect(pieces.join('')).toBe(item.arguments)
  }
})

test('probabilities come where they are asked for', async () => {
  const model = createFakeModel(say(['Hel', 'lo']))
  const api = createApi({}, { models: [model] })
  const body = { include: ['message.output_text.logprobs'], top_logprobs: 2 }
  const [item] = (await answered(api, body)).output
  if (item?.type !== 'message') throw new Error('no message')
  const logprobs = item.content[0]?.logprobs ?? []
  expect(logprobs.map(({ token }) => token)).toEqual(['Hel', 'lo'])
  expect(logprobs[0]).toMatchObject({ bytes: [72, 101, 108], top_logprobs: [{}, {}] })
  expect(model.requests[0]?.logprobs).toEqual({ top: 2 })
  const deltas = (await streamed(api, body)).flatMap((event) =>
    event.type === 'response.output_text.delta' ? event.logprobs : []
  )
  expect(deltas).toEqual(logprobs)
  await answered(api, { include: ['reasoning.encrypted_content'] })
  expect(model.requests.at(-1)?.logprobs).toBeUndefined()
})

test('a failure in mid-stream ends what was begun as incomplete, and is never content', async () => {
  const api = createApi({}, { models: [createFakeModel(failAfter(['par', 'tial'], new Error('secret')))] })
  const text = await (await api.fetch(respondTo({ stream: true }))).text()
  expect(text).not.toMatch(/secret|\[DONE\]/)
  const events = eventsOf(text)
  expect(events.slice(-3).map(({ type }) => type)).toEqual([
    'response.output_item.done',
    'response.failed',
    'error'
  ])
  expect(events.at(-3)).toMatchObject({ item: { status: 'incomplete', content: [{ text: 'partial' }] } })
  expect(events.at(-2)).toMatchObject({
    response: { status: 'failed', store: false, error: { code: 'server_error' } }
  })
  expect(events.at(-1)).toMatchObject({ code: 'internal_error', param: null })
  await expectError(await api.fetch(respondTo()), 500, 'internal_error')
})

test('a failure late in a long prefill still tells that the response began', async () => {
  const clock = createFakeClock()
  let fail = (): void => undefined
  const gate = new Promise<never>((_, reject) => {
    fail = () => reject(new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no chain'))
  })
  const model = createFakeModel(async function* (request, signal) {
    await gate
    yield* say([])(request, signal)
  })
  const pending = createApi({}, { models: [model], clock }).fetch(respondTo({ stream: true }))
  await clock.advance(10_000)
  const response = await pending
  fail()
  expect(eventsOf(await response.text()).map(({ type }) => type)).toEqual([
    'response.created',
    'response.in_progress',
    'response.failed',
    'error'
  ])
})

test.each<[string, KwaaiError, number, string, string | null]>([
  ['too long', new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'x'), 400, 'context_length_exceeded', 'input'],
  [
    'a format it cannot hold',
    new KwaaiError('ERR_MODEL_UNSUPPORTED', 'x', { details: { param: 'constraint' } }),
    400,
    'unsupported_parameter',
    'text.format'
  ],
  [
    'a limit that makes no sense',
    new KwaaiError('ERR_MODEL_INVALID_REQUEST', 'x', { details: { param: 'maxTokens' } }),
    400,
    'invalid_value',
    'max_output_tokens'
  ],
  ['nobody there', new KwaaiError('ERR_MODEL_UNAVAILABLE', 'x'), 503, 'model_unavailable', null]
])('a model’s error is told in the words of this route: %s', async (_, error, status, code, param) => {
  const api = createApi({}, { models: [createFakeModel(failAfter([], error))] })
  for (const stream of [false, true])
    await expectError(await api.fetch(respondTo({ stream })), status, code, param)
})

test('whoever leaves stops the work, and what was not finished is not kept', async () => {
  let signal: AbortSignal | undefined
  const api = createApi(
    {},
    {
      models: [
        createFakeModel(async function* (request, given) {
          signal = given
          yield* say(['a'])(request, given)
        })
      ]
    }
  )
  const reader = (await api.fetch(respondTo({ stream: true }))).body?.getReader()
  const head = new TextDecoder().decode((await reader?.read())?.value)
  await reader?.cancel()
  expect(signal?.aborted).toBe(true)
  await macrotask()
  const id = /"id":"(resp_\w+)"/.exec(head)?.[1]
  const kept = await api.fetch(new Request(`http://localhost:11435/v1/responses/${id}`))
  await expectError(kept, 404, 'response_not_found')
})

test('one answer more than allowed is told to come again, and a refused one holds no place', async () => {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const model = createFakeModel(async function* (request, signal) {
    await gate
    yield* say(['x'])(request, signal)
  })
  const api = createApi({ maxGenerations: 1 }, { models: [model] })
  for (let times = 0; times < 3; times++) expect((await api.fetch(respondTo({ top_p: 7 }))).status).toBe(400)
  const running = api.fetch(respondTo())
  await macrotask()
  await expectError(await api.fetch(respondTo()), 429, 'too_many_generations')
  release()
  expect((await running).status).toBe(200)
  expect((await api.fetch(respondTo())).status).toBe(200)
})

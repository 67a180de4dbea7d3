import { KwaaiError, type GenerationEvent } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { chatChunkSchema, chatCompletionSchema } from '../src/reply-schemas.ts'
import { callFunctions, createFakeModel, failAfter } from './support/fake-model.ts'
import { chat, expectError, parseEvents, readChunks } from './support/requests.ts'

const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const weather = { type: 'function', function: { name: 'weather', description: 'Now', parameters } }
const time = { type: 'function', function: { name: 'time', strict: true, parameters: null } }
const tools = [weather, time]
const named = (name: string) => ({ type: 'function', function: { name } })
const allowed = (mode: string, ...names: string[]) => ({
  type: 'allowed_tools',
  allowed_tools: { mode, tools: names.map(named) }
})

const ask = async (body: Record<string, unknown>) => {
  const model = createFakeModel()
  const response = await createApi({}, { models: [model] }).fetch(chat(body))
  const { tools: offered, toolChoice, parallelToolCalls } = model.requests[0] ?? {}
  return { response, offered: offered?.map(({ name }) => name), toolChoice, parallelToolCalls, model }
}

test('tools and the choice among them reach the model', async () => {
  const { model } = await ask({ tools })
  expect(model.requests[0]?.tools).toEqual([
    { name: 'weather', description: 'Now', parameters },
    { name: 'time', strict: true }
  ])
  const both = ['weather', 'time']
  const cases: [unknown, string[], unknown][] = [
    ['auto', both, 'auto'],
    ['none', both, 'none'],
    ['required', both, 'required'],
    [named('time'), both, { name: 'time' }],
    [allowed('auto', 'time'), ['time'], 'auto'],
    [allowed('required', 'time', 'weather'), both, 'required']
  ]
  for (const [choice, offered, toolChoice] of cases) {
    const { response, ...rest } = await ask({ tools, tool_choice: choice })
    expect(response.status).toBe(200)
    expect([choice, rest.offered, rest.toolChoice]).toEqual([choice, offered, toolChoice])
  }
  expect((await ask({ tools, parallel_tool_calls: true })).parallelToolCalls).toBeUndefined()
  expect((await ask({ tools, parallel_tool_calls: false })).parallelToolCalls).toBe(false)
})

test.each<[Record<string, unknown>, string, string]>([
  [{ tools: 'weather' }, 'tools', 'invalid_type'],
  [{ tools: [{ type: 'function' }] }, 'tools[0].function', 'missing_required_parameter'],
  [{ tools: [named('')] }, 'tools[0].function.name', 'invalid_value'],
  [{ tools: [named('a b')] }, 'tools[0].function.name', 'invalid_value'],
  [{ tools: [named('x'.repeat(65))] }, 'tools[0].function.name', 'invalid_value'],
  [{ tools: [time, time] }, 'tools[1].function.name', 'invalid_value'],
  [
    { tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] },
    'tools[0].function.parameters',
    'invalid_type'
  ],
  [{ tools: [time, { type: 'custom', custom: { name: 'f' } }] }, 'tools[1].type', 'unsupported_parameter'],
  [{ tools: [{ type: 'web_search' }] }, 'tools[0].type', 'invalid_value'],
  [{ tools: Array.from({ length: 129 }, (_, i) => named(`f${i}`)) }, 'tools', 'invalid_value'],
  [{ tool_choice: 'required' }, 'tool_choice', 'invalid_value'],
  [{ tool_choice: named('time') }, 'tool_choice', 'invalid_value'],
  [{ tools, tool_choice: 'sometimes' }, 'tool_choice', 'invalid_value'],
  [{ tools, tool_choice: named('other') }, 'tool_choice.function.name', 'invalid_value'],
  [
    { tools, tool_choice: { type: 'custom', custom: { name: 'f' } } },
    'tool_choice.type',
    'unsupported_parameter'
  ],
  [
    { tools, tool_choice: allowed('auto', 'other') },
    'tool_choice.allowed_tools.tools[0].function.name',
    'invalid_value'
  ],
  [{ tools, tool_choice: allowed('none', 'time') }, 'tool_choice.allowed_tools.mode', 'invalid_value'],
  [{ tools, parallel_tool_calls: 1 }, 'parallel_tool_calls', 'invalid_type']
])('%j is refused by name', async (body, param, code) => {
  const { response, model } = await ask(body)
  await expectError(response, 400, code, param)
  expect(model.requests).toEqual([])
})

const calls = [
  { name: 'weather', pieces: ['{"ci', 'ty":"Bern"}'] },
  { name: 'time', pieces: [] }
]

test('calls are told in one piece', async () => {
  const api = createApi({}, { models: [createFakeModel(callFunctions(calls))] })
  const answer = chatCompletionSchema.parse(await (await api.fetch(chat({ tools }))).json())
  expect(answer.choices).toEqual([
    {
      index: 0,
      message: {
        role: 'assistant',
        content: null,
        refusal: null,
        annotations: [],
        tool_calls: [
          { id: 'call_0', type: 'function', function: { name: 'weather', arguments: '{"city":"Bern"}' } },
          { id: 'call_1', type: 'function', function: { name: 'time', arguments: '' } }
        ]
      },
      logprobs: null,
      finish_reason: 'tool_calls'
    }
  ])
})

test('a stream tells each call by its index: id, type and name first, then the arguments', async () => {
  const api = createApi({}, { models: [createFakeModel(callFunctions(calls))] })
  const chunks = await readChunks(await api.fetch(chat({ tools, stream: true })), chatChunkSchema)
  const deltas = chunks.map(({ choices: [choice] }) => choice?.delta.tool_calls)
  expect(deltas).toEqual([
    undefined,
    [{ index: 0, id: 'call_0', type: 'function', function: { name: 'weather', arguments: '' } }],
    [{ index: 0, function: { arguments: '{"ci' } }],
    [{ index: 0, function: { arguments: 'ty":"Bern"}' } }],
    [{ index: 1, id: 'call_1', type: 'function', function: { name: 'time', arguments: '' } }],
    undefined
  ])
  expect(chunks.at(-1)?.choices[0]).toEqual({
    index: 0,
    delta: {},
    logprobs: null,
    finish_reason: 'tool_calls'
  })
})

test('text before a call is kept beside it', async () => {
  const model = createFakeModel(async function* (request, signal) {
    for await (const event of callFunctions(calls)(request, signal)) {
      yield event
      if (event.type === 'start') yield { type: 'text', index: 0, text: 'Let me see.', tokens: [1] }
    }
  })
  const api = createApi({}, { models: [model] })
  const { choices } = chatCompletionSchema.parse(await (await api.fetch(chat({ tools }))).json())
  expect(choices[0]?.message.content).toBe('Let me see.')
  expect(choices[0]?.message.tool_calls).toHaveLength(2)
})

test('a model that calls what it must not, or not as agreed, has failed', async () => {
  const call = { type: 'tool-call', index: 0, call: 0, arguments: '{}', tokens: [1] } as const
  const end: GenerationEvent[] = [
    { type: 'finish', index: 0, reason: 'tool_calls' },
    { type: 'usage', usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } }
  ]
  const cases: [Record<string, unknown>, GenerationEvent[]][] = [
    [{}, [{ ...call, id: 'a', name: 'time' }]],
    [{ tools, tool_choice: 'none' }, [{ ...call, id: 'a', name: 'time' }]],
    [{ tools }, [call]],
    [{ tools }, [{ ...call, call: 1, id: 'a', name: 'time' }]],
    [
      { tools, parallel_tool_calls: false },
      [
        { ...call, id: 'a', name: 'time' },
        { ...call, call: 1, id: 'b', name: 'time' }
      ]
    ]
  ]
  for (const [body, events] of cases) {
    const model = createFakeModel(async function* () {
      yield* [...events, ...end]
    })
    const api = createApi({}, { models: [model] })
    await expectError(await api.fetch(chat(body)), 500, 'internal_error')
    const sent = parseEvents(await (await api.fetch(chat({ ...body, stream: true }))).text())
    expect(sent.at(-1)?.event).toBe('error')
  }
})

test('a schema that cannot be kept is told by function and keyword', async () => {
  const odd = { type: 'object', properties: { 'a/b': { items: { type: 'integer', multipleOf: 3 } } } }
  const strictly = { type: 'function', function: { name: 'strictly', strict: true, parameters: odd } }
  const lacking = (details: Record<string, unknown>) =>
    new KwaaiError('ERR_MODEL_UNSUPPORTED', 'secret', { details: { param: 'tools', ...details } })
  const cases: [Record<string, unknown>, unknown, string][] = [
    [{ tools }, lacking({ keyword: 'multipleOf', tool: 'time' }), 'tools[1].function.parameters'],
    [{ tools }, lacking({ keyword: 'multipleOf', tool: 1 }), 'tools[1].function.parameters'],
    [
      { tools, tool_choice: allowed('auto', 'time') },
      lacking({ keyword: 'multipleOf', tool: 0 }),
      'tools[1].function.parameters'
    ],
    [{ tools }, lacking({ keyword: 'multipleOf' }), 'tools'],
    [{ tools: [weather] }, lacking({ keyword: 'multipleOf' }), 'tools[0].function.parameters'],
    [
      { tools: [weather, time, strictly] },
      lacking({ keyword: 'multipleOf', path: '/properties/a~1b/items' }),
      'tools[2].function.parameters'
    ]
  ]
  for (const [body, error, param] of cases) {
    const api = createApi({}, { models: [createFakeModel(failAfter([], error))] })
    const message = await expectError(await api.fetch(chat(body)), 400, 'unsupported_parameter', param)
    expect(message).toContain("'multipleOf'")
  }
})

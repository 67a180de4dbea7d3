import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel } from './support/fake-model.ts'
import { chatRequestSchema } from '../src/chat-request.ts'
import { completionRequestSchema } from '../src/completion-request.ts'
import { untilFirst } from '../src/parsing.ts'
import { chat, expectError, hello } from './support/requests.ts'

const ask = async (body: Record<string, unknown>): Promise<{ response: Response; request: unknown }> => {
  const model = createFakeModel()
  // Who asks is told by the request, not by its body.
  const api = createApi({ caller: () => undefined }, { models: [model] })
  const response = await api.fetch(chat(body))
  return { response, request: model.requests[0] }
}

test('every option reaches the model under its name in the contract', async () => {
  const { response, request } = await ask({
    max_completion_tokens: 7,
    temperature: 0,
    top_p: 0.5,
    top_k: 40,
    min_p: 0.05,
    repetition_penalty: 1.1,
    frequency_penalty: -2,
    presence_penalty: 2,
    seed: -5,
    stop: ['a', 'b', 'c', 'd'],
    logit_bias: { '7': -100, '42': 0.5 },
    kwaai: { minTier: 'known', minScore: 0.5, maxLatencyMs: 100, region: ['eu', 'ch'], maxPrice: 0 }
  })
  expect(response.status).toBe(200)
  expect(response.headers.has('x-kwaai-ignored')).toBe(false)
  expect(request).toEqual({
    messages: hello,
    maxTokens: 7,
    temperature: 0,
    topP: 0.5,
    topK: 40,
    minP: 0.05,
    repetitionPenalty: 1.1,
    frequencyPenalty: -2,
    presencePenalty: 2,
    seed: -5,
    stop: ['a', 'b', 'c', 'd'],
    logitBias: { 7: -100, 42: 0.5 },
    route: { minTier: 'known', minScore: 0.5, maxLatencyMs: 100, region: ['eu', 'ch'], maxPrice: 0 }
  })
})

test('what is not asked for is not sent, and null is not asked for', async () => {
  const names = [
    'max_tokens',
    'temperature',
    'top_p',
    'stop',
    'seed',
    'stream',
    'stream_options',
    'n',
    'tools'
  ]
  const others = ['logprobs', 'logit_bias', 'response_format', 'user', 'audio', 'reasoning_effort', 'top_k']
  const { request, response } = await ask(
    Object.fromEntries([...names, ...others].map((name) => [name, null]))
  )
  expect(response.status).toBe(200)
  expect(request).toEqual({ messages: hello })
  expect((await ask({ stop: [] })).request).toEqual({ messages: hello })
})

test('one stop is a list of one, max_tokens the old name, -1 all of top_k', async () => {
  expect((await ask({ stop: '\n', max_tokens: 3, top_k: -1 })).request).toEqual({
    messages: hello,
    stop: ['\n'],
    maxTokens: 3,
    topK: 0
  })
  expect((await ask({ max_tokens: 3, max_completion_tokens: 3 })).response.status).toBe(200)
})

test('messages of every role, as text or as parts', async () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }
  const { request, response } = await ask({
    messages: [
      { role: 'system', content: 'S' },
      { role: 'developer', content: [{ type: 'text', text: 'D' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'one' },
          { type: 'text', text: 'two' }
        ]
      },
      { role: 'assistant', content: null, refusal: 'no' },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'never' }], annotations: [] },
      { role: 'assistant', content: null, refusal: null, tool_calls: [call] },
      { role: 'tool', content: [{ type: 'text', text: '42' }], tool_call_id: 'call_1' },
      { role: 'assistant', content: '', tool_calls: [], function_call: null, audio: null }
    ]
  })
  expect(response.status).toBe(200)
  expect(request).toEqual({
    messages: [
      { role: 'system', content: 'S' },
      { role: 'developer', content: 'D' },
      { role: 'user', content: 'one\ntwo' },
      { role: 'assistant', content: 'no' },
      { role: 'assistant', content: 'never' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'f', arguments: '{"a":1}' }] },
      { role: 'tool', content: '42', toolCallId: 'call_1' },
      { role: 'assistant', content: '' }
    ]
  })
})

const user = (content: unknown): Record<string, unknown> => ({ messages: [{ role: 'user', content }] })
test.each<[Record<string, unknown>, string, string]>([
  [{ model: undefined }, 'model', 'missing_required_parameter'],
  [{ model: null }, 'model', 'missing_required_parameter'],
  [{ model: 5 }, 'model', 'invalid_type'],
  [{ messages: undefined }, 'messages', 'missing_required_parameter'],
  [{ messages: 'hi' }, 'messages', 'invalid_type'],
  [{ messages: [] }, 'messages', 'invalid_value'],
  [{ messages: ['hi'] }, 'messages[0]', 'invalid_type'],
  [{ messages: [null] }, 'messages[0]', 'invalid_type'],
  [{ messages: [{ content: 'x' }] }, 'messages[0].role', 'missing_required_parameter'],
  [{ messages: [{ role: 'wizard', content: 'x' }] }, 'messages[0].role', 'invalid_value'],
  [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'missing_required_parameter'],
  [user(null), 'messages[0].content', 'invalid_value'],
  [user(5), 'messages[0].content', 'invalid_value'],
  [user([]), 'messages[0].content', 'invalid_value'],
  [user([{ type: 'text' }]), 'messages[0].content[0].text', 'missing_required_parameter'],
  [
    user([
      { type: 'text', text: 'a' },
      { type: 'text', text: 1 }
    ]),
    'messages[0].content[1].text',
    'invalid_type'
  ],
  [user([{ type: 'dance' }]), 'messages[0].content[0].type', 'invalid_value'],
  [user([{ type: 'image_url', image_url: {} }]), 'messages[0].content[0].type', 'unsupported_parameter'],
  [{ messages: [{ role: 'assistant' }] }, 'messages[0].content', 'missing_required_parameter'],
  [{ messages: [{ role: 'assistant', content: null }] }, 'messages[0].content', 'missing_required_parameter'],
  [
    { messages: [{ role: 'assistant', content: '', function_call: { name: 'f', arguments: '' } }] },
    'messages[0].function_call',
    'unsupported_parameter'
  ],
  [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id', 'missing_required_parameter'],
  [
    { messages: [...hello, { role: 'tool', content: 'x', tool_call_id: 'nobody' }] },
    'messages[1].tool_call_id',
    'invalid_value'
  ],
  [{ max_tokens: 0 }, 'max_tokens', 'invalid_value'],
  [{ max_tokens: 1.5 }, 'max_tokens', 'invalid_type'],
  [{ max_completion_tokens: '7' }, 'max_completion_tokens', 'invalid_type'],
  [{ max_tokens: 1, max_completion_tokens: 2 }, 'max_tokens', 'invalid_value'],
  [{ temperature: 2.1 }, 'temperature', 'invalid_value'],
  [{ temperature: '1' }, 'temperature', 'invalid_type'],
  [{ top_p: -0.1 }, 'top_p', 'invalid_value'],
  [{ frequency_penalty: 2.5 }, 'frequency_penalty', 'invalid_value'],
  [{ seed: 0.5 }, 'seed', 'invalid_value'],
  [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', 'invalid_value'],
  [{ stop: '' }, 'stop', 'invalid_value'],
  [{ stop: ['a', 1] }, 'stop[1]', 'invalid_type'],
  [{ stream: 'yes' }, 'stream', 'invalid_type'],
  [{ stream_options: { include_usage: true } }, 'stream_options', 'invalid_value'],
  [{ stream: true, stream_options: { include_usage: 1 } }, 'stream_options.include_usage', 'invalid_type'],
  [
    { stream: true, stream_options: { include_obfuscation: true } },
    'stream_options.include_obfuscation',
    'unsupported_parameter'
  ],
  [{ n: 0 }, 'n', 'invalid_value'],
  [{ n: 129 }, 'n', 'invalid_value'],
  [{ logprobs: 1 }, 'logprobs', 'invalid_type'],
  [{ top_logprobs: 5 }, 'top_logprobs', 'invalid_value'],
  [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'invalid_value'],
  [{ logit_bias: { a: 1 } }, 'logit_bias.a', 'invalid_value'],
  [{ logit_bias: { '5': 101 } }, 'logit_bias.5', 'invalid_value'],
  [{ logit_bias: { '5': '1' } }, 'logit_bias.5', 'invalid_type'],
  [{ logit_bias: [1] }, 'logit_bias', 'invalid_type'],
  [{ kwaai: 5 }, 'kwaai', 'invalid_type'],
  [{ kwaai: { minTier: 'best' } }, 'kwaai.minTier', 'invalid_value'],
  [{ kwaai: { minScore: 2 } }, 'kwaai.minScore', 'invalid_value'],
  [{ kwaai: { maxLatencyMs: 0 } }, 'kwaai.maxLatencyMs', 'invalid_value'],
  [{ kwaai: { region: '' } }, 'kwaai.region', 'invalid_value'],
  [{ kwaai: { verify: true } }, 'kwaai.verify', 'unsupported_parameter'],
  [{ kwaai: { residency: 'eu' } }, 'kwaai.residency', 'unsupported_parameter']
])('%j is refused by name', async (body, param, code) => {
  const { response, request } = await ask(body)
  await expectError(response, 400, code, param)
  expect(request).toBeUndefined()
})

/** Each known field we do not honour: what asks for nothing, and what asks for something. */
const notHonoured: [string, unknown[], unknown[]][] = [
  ['functions', [[]], [[{ name: 'f' }]]],
  ['function_call', ['none', 'auto'], [{ name: 'f' }]],
  ['modalities', [['text']], [['text', 'audio'], ['audio']]],
  ['audio', [], [{ voice: 'alloy', format: 'wav' }]],
  ['prediction', [], [{ type: 'content', content: 'x' }]],
  ['web_search_options', [], [{}]],
  ['moderation', [], [{}]],
  ['reasoning_effort', ['none'], ['high']],
  ['verbosity', ['medium'], ['low']],
  ['service_tier', ['auto', 'default'], ['priority']],
  ['store', [false], [true]]
]
test.each(notHonoured)(
  '%s is accepted where it asks for nothing and refused where it asks',
  async (name, ok, bad) => {
    for (const value of ok) {
      const { response } = await ask({ [name]: value })
      expect([value, response.status, response.headers.get('x-kwaai-ignored')]).toEqual([value, 200, null])
    }
    for (const value of bad)
      expect(
        await expectError((await ask({ [name]: value })).response, 400, 'unsupported_parameter', name)
      ).toContain(name)
  }
)

test('what asks for nothing is not sent', async () => {
  const { response, request } = await ask({
    n: 1,
    logprobs: false,
    top_logprobs: 0,
    logit_bias: {},
    response_format: { type: 'text' },
    tools: [],
    tool_choice: 'auto',
    parallel_tool_calls: false,
    kwaai: { minTier: null, verify: false }
  })
  expect([response.status, response.headers.get('x-kwaai-ignored')]).toEqual([200, null])
  expect(request).toEqual({ messages: hello })
})

test('fields without effect are accepted', async () => {
  const { response } = await ask({
    user: 'u',
    metadata: { a: 'b' },
    safety_identifier: 's',
    prompt_cache_key: 'k',
    prompt_cache_retention: '24h'
  })
  expect([response.status, response.headers.get('x-kwaai-ignored')]).toEqual([200, null])
})

test('unknown fields are ignored and named', async () => {
  const { response } = await ask({
    foo: 1,
    'bäd\r\nname: x': 2,
    messages: [{ role: 'user', content: 'x', name: 'Ada', cache_control: {} }]
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('x-kwaai-ignored')).toBe(
    'foo, b?d??name??x, messages[].name, messages[].cache_control'
  )
  const many = await ask(
    Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}${'x'.repeat(100)}`, i]))
  )
  expect(many.response.headers.get('x-kwaai-ignored')?.length).toBeLessThan(2000)
})

test('names of prototypes are names like any other', async () => {
  const response = await createApi({}, { models: [createFakeModel()] }).fetch(
    chat(
      '{"model":"fake","messages":[{"role":"user","content":"x"}],"__proto__":{"n":2},"constructor":1,"toString":2}'
    )
  )
  expect(response.status).toBe(200)
  expect(response.headers.get('x-kwaai-ignored')).toBe('__proto__, constructor, toString')
})

test('the body has to be a JSON object of the right type and size', async () => {
  const model = createFakeModel()
  const api = createApi({ maxBodyBytes: 1000 }, { models: [model] })
  const send = (init: RequestInit): Promise<Response> => api.fetch(chat('', init))
  const json = { 'content-type': 'application/json' }
  for (const body of ['{', '', 'null ]', '{"model":}', new Uint8Array([0x22, 0xff, 0x22])])
    await expectError(await send({ headers: json, body }), 400, 'invalid_json')
  for (const body of ['null', '[]', '"text"', '5'])
    await expectError(await send({ headers: json, body }), 400, 'invalid_type')
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', ''])
    await expectError(
      await send({ headers: { 'content-type': type }, body: '{}' }),
      415,
      'unsupported_media_type'
    )
  await expectError(
    await send({ headers: { ...json, 'content-encoding': 'gzip' }, body: '{}' }),
    415,
    'unsupported_media_type'
  )
  await expectError(await send({ headers: json, body: `"${'x'.repeat(999)}"` }), 413, 'request_too_large')
  await expectError(await send({ headers: json, body: `"${'x'.repeat(998)}"` }), 400, 'invalid_type')
  const used = chat()
  await used.text()
  await expectError(await api.fetch(used), 400, 'invalid_body')
  expect(model.requests).toEqual([])
  const accepted = await send({ headers: { 'content-type': 'Application/JSON; charset=utf-8' } })
  await expectError(accepted, 400, 'invalid_json')
})

test('however many entries are wrong, there is one complaint', () => {
  const zeros = Array.from({ length: 50 }, () => 0)
  const bodies = [
    { messages: zeros },
    { messages: [{ role: 'user', content: zeros }] },
    { messages: hello, n: 'x', seed: 'x' }
  ]
  for (const body of bodies) {
    const result = chatRequestSchema.safeParse({ model: 'fake', ...body }, untilFirst)
    expect(result.error?.issues).toHaveLength(1)
  }
  const biases = Object.fromEntries(zeros.map((_, index) => [`x${index}`, 1]))
  const biased = chatRequestSchema.safeParse(
    { model: 'fake', messages: hello, logit_bias: biases },
    untilFirst
  )
  expect(biased.error?.issues).toHaveLength(1)
  const result = completionRequestSchema.safeParse(
    { model: 'fake', prompt: zeros.map(String).map((text) => [text]) },
    untilFirst
  )
  const [issue] = result.error?.issues ?? []
  for (const complaints of issue?.code === 'invalid_union' ? issue.errors : expect.fail())
    expect(complaints).toHaveLength(1)
})

import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { callFunctions, createFakeModel } from './support/fake-model.ts'
import { expectError } from './support/requests.ts'
import { answered, respondTo } from './support/responses.ts'

const tool = { type: 'function', name: 'f', parameters: {}, strict: null }
const call = { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' }
const output = { type: 'function_call_output', call_id: 'c1', output: 'done' }
const user = { role: 'user', content: 'Hi' }

const asked = async (body: Record<string, unknown>): Promise<object | undefined> => {
  const model = createFakeModel()
  await answered(createApi({}, { models: [model] }), body)
  return model.requests[0]
}

test.each<[string, unknown, unknown]>([
  ['a text', 'Hello', [{ role: 'user', content: 'Hello' }]],
  [
    'easy messages',
    [user, { role: 'assistant', content: 'Yes?' }, user],
    [user, { role: 'assistant', content: 'Yes?' }, user]
  ],
  [
    'messages with parts',
    [
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Rules' }] },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'a' },
          { type: 'input_text', text: 'b' }
        ]
      },
      {
        type: 'message',
        id: 'msg_1',
        status: 'completed',
        role: 'assistant',
        content: [
          { type: 'output_text', text: 'c', annotations: [], logprobs: [] },
          { type: 'refusal', refusal: 'd' }
        ]
      },
      { role: 'system', content: 'e' }
    ],
    [
      { role: 'developer', content: 'Rules' },
      { role: 'user', content: 'a\nb' },
      { role: 'assistant', content: 'c\nd' },
      { role: 'system', content: 'e' }
    ]
  ],
  [
    'calls and what they gave',
    [
      user,
      { role: 'assistant', content: 'Wait.' },
      call,
      { ...call, call_id: 'c2' },
      { ...output, output: [{ type: 'input_text', text: 'x' }] },
      { ...output, call_id: 'c2' },
      { ...call, call_id: 'c3', id: 'fc_3', status: 'completed' },
      { ...output, call_id: 'c3' }
    ],
    [
      user,
      {
        role: 'assistant',
        content: 'Wait.',
        toolCalls: [
          { id: 'c1', name: 'f', arguments: '{}' },
          { id: 'c2', name: 'f', arguments: '{}' }
        ]
      },
      { role: 'tool', content: 'x', toolCallId: 'c1' },
      { role: 'tool', content: 'done', toolCallId: 'c2' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'c3', name: 'f', arguments: '{}' }] },
      { role: 'tool', content: 'done', toolCallId: 'c3' }
    ]
  ]
])('the model is shown %s', async (_, input, messages) => {
  expect(await asked({ input })).toMatchObject({ messages })
})

test.each<[Record<string, unknown>, object]>([
  [{ text: { format: { type: 'json_object' } } }, { constraint: { type: 'json' } }],
  [
    { text: { format: { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true } } },
    { constraint: { type: 'json-schema', schema: { type: 'object' }, strict: true } }
  ],
  [{ tools: [tool], tool_choice: { type: 'function', name: 'f' } }, { toolChoice: { name: 'f' } }],
  [
    { tools: [tool], parallel_tool_calls: false },
    { parallelToolCalls: false, toolChoice: 'auto' }
  ],
  [
    {
      tools: [tool, { ...tool, name: 'g' }],
      tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'g' }] }
    },
    { tools: [{ name: 'g', parameters: {}, strict: false }], toolChoice: 'auto' }
  ],
  [{ kwaai: { minTier: 'trusted', region: 'eu' } }, { route: { minTier: 'trusted', region: 'eu' } }],
  [{ top_logprobs: 3 }, { logprobs: { top: 3 } }]
])('%j goes down to the model', async (body, expected) => {
  expect(await asked(body)).toMatchObject(expected)
})

test('what asks for nothing is taken, and what nobody knows is named', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  const nothing = {
    background: false,
    conversation: null,
    prompt: null,
    reasoning: { effort: null, summary: null },
    service_tier: 'auto',
    truncation: 'disabled',
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tools: [],
    tool_choice: 'auto',
    include: [],
    max_tool_calls: 3,
    safety_identifier: 's',
    prompt_cache_key: 'k',
    stream: null,
    context_management: []
  }
  const response = await api.fetch(
    respondTo({
      ...nothing,
      colour: 'blue',
      text: { ...nothing.text, tone: 1 },
      input: [
        { ...user, mood: 'good', content: [{ type: 'input_text', text: 'x', size: 1 }] },
        { type: 'reasoning', id: 'rs_1', summary: [] }
      ]
    })
  )
  expect(response.status).toBe(200)
  expect(response.headers.get('x-kwaai-ignored')?.split(', ').toSorted()).toEqual([
    'colour',
    'input[].content[].size',
    'input[].mood',
    'input[].reasoning',
    'text.tone'
  ])
})

const unsupported: [string, Record<string, unknown>][] = [
  ['background', { background: true }],
  ['conversation', { conversation: 'conv_1' }],
  ['prompt', { prompt: { id: 'p' } }],
  ['context_management', { context_management: [{ type: 'compaction' }] }],
  ['moderation', { moderation: { model: 'm' } }],
  ['reasoning', { reasoning: { effort: 'high' } }],
  ['reasoning', { reasoning: { summary: 'auto' } }],
  ['reasoning', { reasoning: { constructor: 1 } }],
  ['service_tier', { service_tier: 'flex' }],
  ['truncation', { truncation: 'auto' }],
  ['text.verbosity', { text: { verbosity: 'low' } }],
  ['stream_options.include_obfuscation', { stream: true, stream_options: { include_obfuscation: true } }],
  ['tools[0].type', { tools: [{ type: 'web_search' }] }],
  ['tools[0].type', { tools: [{ type: 'custom', name: 'x' }] }],
  ['tools[0].defer_loading', { tools: [{ ...tool, defer_loading: true }] }],
  ['kwaai.verify', { kwaai: { verify: true } }],
  [
    'input[0].content[0].type',
    { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }
  ],
  ['input[0].type', { input: [{ type: 'computer_call_output', call_id: 'c' }] }]
]
test.each(unsupported)('%s is refused by name', async (param, body) => {
  const api = createApi({}, { models: [createFakeModel()] })
  await expectError(await api.fetch(respondTo(body)), 400, 'unsupported_parameter', param)
})

const wrong: [string, string | null, Record<string, unknown>][] = [
  ['missing_required_parameter', 'model', { model: undefined }],
  ['missing_required_parameter', 'input', { input: undefined }],
  ['invalid_value', 'input', { input: [] }],
  ['invalid_value', 'input', { input: [{ type: 'reasoning' }] }],
  ['invalid_value', 'input', { input: 7 }],
  ['invalid_value', 'input[0].role', { input: [{ role: 'tool', content: 'x' }] }],
  ['missing_required_parameter', 'input[1].content', { input: [user, { role: 'user' }] }],
  ['invalid_value', 'input[0].content', { input: [{ role: 'user', content: [] }] }],
  [
    'invalid_type',
    'input[0].content[0].text',
    { input: [{ role: 'user', content: [{ type: 'input_text' }] }] }
  ],
  ['missing_required_parameter', 'input[0].id', { input: [{}] }],
  ['invalid_type', 'input[0].type', { input: [{ type: { toString: 1 } }] }],
  ['invalid_type', 'input[1]', { input: [user, null] }],
  ['missing_required_parameter', 'input[0].arguments', { input: [{ ...call, arguments: undefined }] }],
  ['invalid_value', 'input', { input: [user, output] }],
  ['invalid_value', 'input', { input: [user, call] }],
  ['invalid_value', 'input', { input: [user, call, user, output] }],
  ['item_not_found', 'input[1].id', { input: [user, { type: 'item_reference', id: 'msg_nowhere' }] }],
  ['item_not_found', 'input[1].id', { input: [user, { id: `msg_${'0'.repeat(32)}b0000` }] }],
  ['previous_response_not_found', 'previous_response_id', { previous_response_id: `resp_${'0'.repeat(32)}` }],
  ['previous_response_not_found', 'previous_response_id', { previous_response_id: '../keys' }],
  ['invalid_value', 'temperature', { temperature: 3 }],
  ['invalid_type', 'temperature', { temperature: 'hot' }],
  ['invalid_value', 'max_output_tokens', { max_output_tokens: 0 }],
  ['invalid_value', 'top_logprobs', { top_logprobs: 21 }],
  ['invalid_value', 'include[0]', { include: ['everything'] }],
  ['invalid_value', 'stream_options', { stream_options: {} }],
  [
    'invalid_value',
    'metadata',
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [n, ''])) }
  ],
  ['invalid_value', 'metadata.k', { metadata: { k: 'x'.repeat(513) } }],
  ['invalid_type', 'metadata.k', { metadata: { k: 1 } }],
  ['invalid_value', 'tools[0].name', { tools: [{ ...tool, name: 'a b' }] }],
  ['invalid_value', 'tools[1].name', { tools: [tool, tool] }],
  ['invalid_value', 'tool_choice', { tool_choice: 'required' }],
  ['invalid_value', 'tool_choice', { tools: [tool], tool_choice: { type: 'function', name: 'g' } }],
  ['invalid_value', 'tool_choice', { tools: [tool], tool_choice: 'sometimes' }],
  [
    'missing_required_parameter',
    'text.format.schema',
    { text: { format: { type: 'json_schema', name: 'n' } } }
  ]
]
test.each(wrong)('%s: %s', async (code, param, body) => {
  const model = createFakeModel(callFunctions([{ name: 'f', pieces: ['{}'] }]))
  const api = createApi({}, { models: [model] })
  await expectError(await api.fetch(respondTo(body)), 400, code, param)
  expect(model.requests).toEqual([])
})

test('no body at all, no JSON, no such model', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  await expectError(await api.fetch(respondTo('')), 400, 'invalid_json')
  await expectError(await api.fetch(respondTo('[]')), 400, 'invalid_type')
  await expectError(await api.fetch(respondTo({ model: 'nope' })), 404, 'model_not_found', 'model')
})

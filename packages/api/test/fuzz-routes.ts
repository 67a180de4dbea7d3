/** One address: how it is asked rightly, and what is wrong with it. */
export interface FuzzRoute {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  /** A body that is right; with it every field is tried. */
  body?: Record<string, unknown>
  /** Values that are of the right type and wrong, by field. */
  wrong?: Readonly<Record<string, readonly unknown[]>>
  /** Fields that contradict each other; each entry is laid over the body. */
  conflicts?: readonly Record<string, unknown>[]
}

const sampling = {
  temperature: [-0.1, 2.1, 1e300],
  top_p: [-1, 1.5],
  frequency_penalty: [-2.5, 3],
  presence_penalty: [-2.5, 3],
  stop: ['', ['a', 'b', 'c', 'd', 'e'], ['']],
  seed: [0.5, 1e30],
  n: [0, -1, 1.5, 1e9],
  max_tokens: [0, -5, 1.5],
  'kwaai.minTier': ['emperor', ''],
  'kwaai.minScore': [-1, 2],
  'kwaai.maxLatencyMs': [-1],
  'kwaai.region': ['', [], [''], 'x'.repeat(10_000)],
  'logit_bias.12': [101, -101],
  logit_bias: [{ word: 1 }, { '-1': 1 }, { '1.5': 1 }]
}
const common = {
  temperature: 0.5,
  top_p: 0.9,
  frequency_penalty: 0.1,
  presence_penalty: 0.1,
  stop: ['\n\n'],
  seed: 7,
  n: 2,
  max_tokens: 4,
  logit_bias: { '12': 1 },
  user: 'somebody',
  stream: false,
  kwaai: { minTier: 'known', minScore: 0.5, maxLatencyMs: 100, region: 'eu' }
}
const lookUp = { type: 'object', properties: { of: { type: 'string' } }, required: ['of'] }

/** What there is; whether a schema is one is for the model to say. Addresses of ids that nobody has are wrong by themselves. */
export const routes: readonly FuzzRoute[] = [
  { method: 'GET', path: '/health' },
  { method: 'GET', path: '/ready' },
  { method: 'GET', path: '/metrics' },
  { method: 'GET', path: '/openapi.json' },
  { method: 'GET', path: '/v1/models' },
  { method: 'GET', path: '/v1/models/fake' },
  { method: 'GET', path: '/v1/kwaai/explain' },
  {
    method: 'POST',
    path: '/v1/chat/completions',
    body: {
      ...common,
      model: 'fake',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
        {
          role: 'assistant',
          content: 'I look',
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'look', arguments: '{}' } }]
        },
        { role: 'tool', content: 'nothing', tool_call_id: 'call_1' }
      ],
      logprobs: true,
      top_logprobs: 2,
      parallel_tool_calls: false,
      tools: [{ type: 'function', function: { name: 'look', description: 'Looks', parameters: lookUp } }],
      tool_choice: 'auto'
    },
    wrong: {
      ...sampling,
      messages: [[]],
      'messages[0].role': ['pirate', 'tool', ''],
      'messages[1].content': [[], [{ type: 'text' }], [{ type: 'image_url', image_url: { url: 'x' } }]],
      'messages[2].tool_calls[0].type': ['robot'],
      'messages[3].tool_call_id': ['call_2', ''],
      top_logprobs: [-1, 21, 1.5],
      'tools[0].type': ['robot'],
      'tools[0].function.name': ['', 'two words', 'x'.repeat(65), 'ünïcode', '\ud800'],
      tool_choice: ['always', { type: 'function', function: { name: 'other' } }, { type: 'robot' }],
      max_completion_tokens: [0, -1, 2.5],
      response_format: [
        { type: 'poem' },
        { type: 'json_schema' },
        { type: 'json_schema', json_schema: {} },
        { type: 'json_schema', json_schema: { name: 'two words', schema: { type: 'object' } } }
      ],
      audio: [{ voice: 'x' }],
      modalities: [['audio'], ['text', 'audio']]
    },
    conflicts: [
      { stream_options: { include_usage: true } },
      { max_tokens: 4, max_completion_tokens: 5 },
      { logprobs: false, top_logprobs: 3 },
      { tools: undefined, tool_choice: 'required' },
      { tools: [], tool_choice: { type: 'function', function: { name: 'look' } } }
    ]
  },
  {
    method: 'POST',
    path: '/v1/completions',
    body: { ...common, model: 'fake', prompt: ['Once', 'Twice'], logprobs: 1, best_of: 2 },
    wrong: {
      ...sampling,
      // None at all is allowed: it asks for the prompt's own probabilities.
      max_tokens: [-5, 1.5],
      prompt: [[], [[]], [1.5], [-1], ['x', 1], [[1], 'x'], [[-1]]],
      logprobs: [6, -1, 1.5],
      best_of: [1, 21, -1],
      suffix: ['the end']
    },
    conflicts: [{ stream_options: { include_usage: true } }, { stream: true, best_of: 4 }, { echo: true }]
  },
  {
    method: 'POST',
    path: '/v1/embeddings',
    body: { model: 'embedder', input: ['a', 'b'], encoding_format: 'float', dimensions: 4, user: 'somebody' },
    wrong: {
      input: [[], '', [''], [[]], [1.5], [-1], ['x', 1], Array.from({ length: 2049 }, () => 'x')],
      encoding_format: ['binary', ''],
      dimensions: [0, -1, 1.5, 1e9]
    }
  },
  {
    method: 'POST',
    path: '/v1/responses',
    body: {
      model: 'fake',
      instructions: 'Be brief.',
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hello' }] }],
      temperature: 0.5,
      top_p: 0.9,
      max_output_tokens: 16,
      store: false,
      stream: false,
      metadata: { a: 'b' },
      parallel_tool_calls: true,
      text: { format: { type: 'text' } },
      tools: [{ type: 'function', name: 'look', description: 'Looks', parameters: lookUp, strict: false }],
      tool_choice: 'auto',
      user: 'somebody'
    },
    wrong: {
      input: [[], [{}], [{ role: 'pirate', content: 'x' }], [{ type: 'item_reference', id: 'msg_nowhere' }]],
      'input[0].role': ['pirate', ''],
      temperature: [-1, 3],
      top_p: [-1, 2],
      max_output_tokens: [0, -1, 1.5],
      previous_response_id: ['resp_nowhere', 'x'.repeat(10_000)],
      'tools[0].type': ['robot'],
      'tools[0].name': ['', 'two words', 'x'.repeat(65)],
      'text.format': [{ type: 'poem' }, { type: 'json_schema' }],
      tool_choice: ['always', { type: 'function', name: 'other' }],
      background: [true],
      truncation: ['sometimes']
    },
    conflicts: [{ tools: [], tool_choice: 'required' }]
  },
  { method: 'GET', path: '/v1/responses/resp_nowhere' },
  { method: 'DELETE', path: '/v1/responses/resp_nowhere' },
  { method: 'GET', path: '/v1/responses/resp_nowhere/input_items' },
  { method: 'POST', path: '/v1/responses/resp_nowhere/cancel' },
  { method: 'GET', path: '/v1/kwaai/provenance/chatcmpl-nowhere' }
]

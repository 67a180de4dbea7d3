import { KwaaiError } from '@kwaai/interface'
import { createFakeClock, createSeededRandom } from '@kwaai/testing'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, say } from './support/fake-model.ts'
import { chat, expectError } from './support/requests.ts'
import { chatCompletion } from './support/schemas.ts'

test('answers in one piece', async () => {
  const clock = createFakeClock({ now: 1_750_000_000_999 })
  const api = createApi({}, { models: [createFakeModel()], clock, random: createSeededRandom(1) })
  const response = await api.fetch(chat())
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/json')
  const answer = chatCompletion.parse(await response.json())
  expect(answer).toMatchObject({
    created: 1_750_000_000,
    model: 'fake',
    choices: [{ message: { content: 'Hello 🌍' }, finish_reason: 'stop' }],
    usage: {
      prompt_tokens: 11,
      completion_tokens: 3,
      total_tokens: 14,
      prompt_tokens_details: { cached_tokens: 4 }
    }
  })
})

test('every answer has an id of its own; the fingerprint stays while the arithmetic does', async () => {
  const api = createApi({}, { models: [createFakeModel(), createFakeModel(undefined, 'other')] })
  const ask = async (model: string): Promise<{ id: string; system_fingerprint: string }> =>
    chatCompletion.parse(await (await api.fetch(chat({ model }))).json())
  const [first, second, other] = [await ask('fake'), await ask('fake'), await ask('other')]
  expect(first.id).not.toBe(second.id)
  expect(first.system_fingerprint).toBe(second.system_fingerprint)
  expect(first.system_fingerprint).not.toBe(other.system_fingerprint)
})

test('the length is told as the reason', async () => {
  const api = createApi({}, { models: [createFakeModel(say(['a'], 'length'))] })
  const answer = chatCompletion.parse(await (await api.fetch(chat({ max_tokens: 1 }))).json())
  expect(answer.choices[0].finish_reason).toBe('length')
})

test('an unknown model is a 404', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  await expectError(await api.fetch(chat({ model: 'nope' })), 404, 'model_not_found', 'model')
})

const failures: [string, unknown, number, string, string | null, string][] = [
  [
    'nobody can serve',
    new KwaaiError('ERR_MODEL_UNAVAILABLE', 'come later', { details: { retryAfterMs: 2500 } }),
    503,
    'model_unavailable',
    null,
    'later'
  ],
  [
    'too many wait',
    new KwaaiError('ERR_MODEL_UNAVAILABLE', 'come later', {
      details: { retryAfterMs: 2500, queueFull: true }
    }),
    429,
    'too_many_generations',
    null,
    'later'
  ],
  [
    'the context is too short',
    new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'secret', {
      details: { promptTokens: 3000, contextLength: 2048 }
    }),
    400,
    'context_length_exceeded',
    'messages',
    'maximum context length is 2048 tokens, but the messages are 3000 tokens'
  ],
  [
    'the model lacks an option',
    new KwaaiError('ERR_MODEL_UNSUPPORTED', 'secret', { details: { param: 'repetitionPenalty' } }),
    400,
    'unsupported_parameter',
    'repetition_penalty',
    "'repetition_penalty'"
  ],
  [
    'the model finds an option invalid',
    new KwaaiError('ERR_MODEL_INVALID_REQUEST', 'seed is odd', { details: { param: 'seed' } }),
    400,
    'invalid_value',
    'seed',
    'seed is odd'
  ],
  ['another error of the house', new KwaaiError('ERR_SHARD_X', 'secret'), 500, 'internal_error', null, 'log'],
  ['any error', new TypeError('secret of undefined'), 500, 'internal_error', null, 'log'],
  ['something thrown that is no error', 'secret', 500, 'internal_error', null, 'log'],
  ['undefined thrown', undefined, 500, 'internal_error', null, 'log']
]
test.each(failures)('%s', async (_, error, status, code, param, text) => {
  for (const pieces of [[], ['a', 'b']]) {
    for (const stream of [false, pieces.length === 0]) {
      const response = await createApi({}, { models: [createFakeModel(failAfter(pieces, error))] }).fetch(
        chat({ stream })
      )
      if (status === 503 || status === 429) {
        expect([response.headers.get('retry-after'), response.headers.get('retry-after-ms')]).toEqual([
          '3',
          '2500'
        ])
      }
      const message = await expectError(response, status, code, param)
      expect(message).toContain(text)
      expect(message).not.toContain('secret')
    }
  }
})

test('a model whose chat throws before it iterates is an error like any other', async () => {
  const model = createFakeModel(() => {
    throw new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no chain')
  })
  const api = createApi({ maxGenerations: 1 }, { models: [model] })
  for (const stream of [true, false, true])
    await expectError(await api.fetch(chat({ stream })), 503, 'model_unavailable')
})

test('a model that breaks its contract is an error, never half an answer', async () => {
  const finish = { type: 'finish', index: 0, reason: 'stop' } as const
  const text = { type: 'text', index: 0, text: 'x', tokens: [1] } as const
  const usage = { type: 'usage', usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } } as const
  for (const events of [
    [text],
    [text, usage],
    [text, finish],
    [finish, text, usage],
    [finish, finish, usage]
  ]) {
    const api = createApi(
      {},
      {
        models: [
          createFakeModel(async function* () {
            yield* events
          })
        ]
      }
    )
    await expectError(await api.fetch(chat()), 500, 'internal_error')
    expect(await (await api.fetch(chat({ stream: true }))).text()).toMatch(
      /event: error\ndata: .*internal_error.*\n\n$/
    )
  }
})

test('one generation more than allowed is told to come again', async () => {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const model = createFakeModel(async function* (request, signal) {
    await gate
    yield* say(['x'])(request, signal)
  })
  const api = createApi({ maxGenerations: 2 }, { models: [model] })
  const running = [api.fetch(chat()), api.fetch(chat())]
  const refused = await api.fetch(chat())
  expect(refused.headers.get('retry-after-ms')).toBe('2000')
  await expectError(refused, 429, 'too_many_generations')
  release()
  expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200])
  expect((await api.fetch(chat())).status).toBe(200)
})

test('logs the counts of a generation and the reason of a failure, never the text', async () => {
  const entries: [string, string, Record<string, unknown>][] = []
  const logger = {
    log: (level: string, event: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void entries.push([level, event, fields])
  }
  const models = [
    createFakeModel(),
    createFakeModel(failAfter(['x'], new Error('the disk is full')), 'broken')
  ]
  const api = createApi({}, { models, logger })
  await api.fetch(chat({ messages: [{ role: 'user', content: 'PRIVATE' }] }))
  await (await api.fetch(chat({ model: 'broken', stream: true }))).text()
  expect(JSON.stringify(entries)).not.toMatch(/PRIVATE|Hello/)
  expect(entries).toContainEqual([
    'info',
    'api.generation',
    expect.objectContaining({ outcome: 'completed', promptTokens: 11, finishReason: 'stop', model: 'fake' })
  ])
  expect(entries).toContainEqual(['info', 'api.generation', expect.objectContaining({ outcome: 'failed' })])
  expect(entries).toContainEqual([
    'error',
    'api.failure',
    expect.objectContaining({ error: 'Error: the disk is full' })
  ])
})

import { KwaaiError, type GenerationEvent, type LanguageModel } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { completeEach } from '../src/completions.ts'
import { completionSchema } from '../src/reply-schemas.ts'
import { createFakeModel, failAfter, say, sayEach, type FakeModel } from './support/fake-model.ts'
import { expectError, parseEvents, post, readChunks } from './support/requests.ts'

const complete = (body: Record<string, unknown> = {}, init: RequestInit = {}): Request =>
  post('/v1/completions', { model: 'fake', prompt: 'Once', ...body }, init)
const ask = async (body: Record<string, unknown>, model: LanguageModel = createFakeModel()) => {
  const response = await createApi({ caller: () => undefined }, { models: [model] }).fetch(complete(body))
  expect([response.status, response.status === 200 ? '' : await response.clone().text()]).toEqual([200, ''])
  return response
}
const whole = async (body: Record<string, unknown>, model?: LanguageModel) =>
  completionSchema.parse(await (await ask(body, model)).json())

/** A model that answers each prompt with its own text, `n` times. */
const parrot = (): FakeModel =>
  createFakeModel((request, signal) => {
    const text = request.messages[0]?.content ?? ''
    return sayEach(Array.from({ length: request.n ?? 1 }, (_, k) => [text, `/${k}`]))(request, signal)
  })

test('completes a text in one piece', async () => {
  const model = createFakeModel(say(['Hel', 'lo'], 'length'))
  const response = await ask({}, model)
  expect(response.headers.get('x-kwaai-chain')).toBe('peer:0-30')
  const answer = completionSchema.parse(await response.json())
  expect(answer).toEqual({
    id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
    object: 'text_completion',
    created: expect.any(Number),
    model: 'fake',
    system_fingerprint: expect.stringMatching(/^fp_/),
    choices: [{ index: 0, text: 'Hello', logprobs: null, finish_reason: 'length' }],
    usage: {
      prompt_tokens: 11,
      completion_tokens: 2,
      total_tokens: 13,
      prompt_tokens_details: { cached_tokens: 4 }
    }
  })
  // OpenAI's default, where the request names no number.
  expect(model.completions).toEqual([{ prompt: 'Once', maxTokens: 16 }])
})

test('every option reaches the model', async () => {
  const model = createFakeModel(sayEach([['a'], ['b']]))
  await ask(
    {
      prompt: [1, 2, 3],
      max_tokens: 0,
      temperature: 0,
      n: 2,
      best_of: 2,
      logprobs: 3,
      stop: ['x'],
      seed: 5,
      logit_bias: { '7': 1 },
      kwaai: { region: 'eu' },
      user: 'u',
      suffix: null,
      echo: false
    },
    model
  )
  expect(model.completions).toEqual([
    {
      prompt: [1, 2, 3],
      maxTokens: 0,
      temperature: 0,
      n: 2,
      logprobs: { top: 3 },
      stop: ['x'],
      seed: 5,
      logitBias: { 7: 1 },
      route: { region: 'eu' }
    }
  ])
})

test('several prompts: choice k of prompt p is p × n + k, and the counts are those of all', async () => {
  for (const [prompt, texts] of [
    [
      ['A', 'B'],
      ['A/0', 'A/1', 'B/0', 'B/1']
    ],
    [
      [[1, 2], [3]],
      ['1 2/0', '1 2/1', '3/0', '3/1']
    ]
  ]) {
    const answer = await whole({ prompt, n: 2 }, parrot())
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([...(texts ?? []).entries()])
    expect(answer.usage).toMatchObject({ prompt_tokens: 22, completion_tokens: 8, total_tokens: 30 })

    const response = await ask({ prompt, n: 2, stream: true }, parrot())
    const streamed = ['', '', '', '']
    for (const { choices } of await readChunks(response, completionSchema))
      for (const { index, text } of choices) streamed[index] += text
    expect(streamed).toEqual(texts)
  }
})

test('what each server did is added up over the prompts', async () => {
  const hop = { peer: 'p', from: 0, to: 30, numericsClass: 'x', computeMs: 2, steps: 3, rttMs: 1 }
  const model = createFakeModel(async function* (request, signal) {
    for await (const event of say(['x'])(request, signal))
      yield event.type === 'usage' ? { ...event, hops: [hop] } : event
  })
  const requests = ['a', 'b', 'c'].map((prompt) => ({ prompt }))
  const events: GenerationEvent[] = []
  for await (const event of completeEach(model, requests, 1, {})) events.push(event)
  expect(events.at(-1)).toEqual({
    type: 'usage',
    usage: { promptTokens: 33, completionTokens: 3, cachedTokens: 12 },
    hops: [{ ...hop, computeMs: 6, steps: 9, rttMs: 1 }]
  })
})

test('echo puts the prompt before each of its choices', async () => {
  const body = { prompt: ['A', 'B'], n: 2, echo: true }
  const texts = ['AA/0', 'AA/1', 'BB/0', 'BB/1']
  expect((await whole(body, parrot())).choices.map(({ text }) => text)).toEqual(texts)
  const chunks = await readChunks(await ask({ ...body, stream: true }, parrot()), completionSchema)
  const streamed = ['', '', '', '']
  for (const { choices } of chunks) for (const { index, text } of choices) streamed[index] += text
  expect(streamed).toEqual(texts)
  const nothing = await whole({ echo: true, max_tokens: 0 }, createFakeModel(say([], 'length')))
  expect(nothing.choices[0]).toMatchObject({ text: 'Once', finish_reason: 'length' })
})

test('probabilities in the old form, the same in pieces', async () => {
  const bytes = new TextEncoder().encode('ü🌍')
  const part = (from: number, to: number, logprob: number) => ({
    token: from,
    bytes: bytes.slice(from, to),
    logprob,
    top: [{ token: 9, bytes: new TextEncoder().encode('x'), logprob: -0.1 }]
  })
  const model = createFakeModel(async function* () {
    yield { type: 'start', promptTokens: 1, chain: [] }
    yield { type: 'text', index: 0, text: 'ü', tokens: [0], logprobs: [part(0, 2, -1)] }
    yield { type: 'text', index: 0, text: '', tokens: [2] }
    yield {
      type: 'text',
      index: 0,
      text: '🌍',
      tokens: [4],
      logprobs: [part(2, 4, -2), part(4, 6, -Infinity)]
    }
    yield { type: 'finish', index: 0, reason: 'stop' }
    yield { type: 'usage', usage: { promptTokens: 1, completionTokens: 3, cachedTokens: 0 } }
  })
  const expected = {
    tokens: ['ü', 'bytes:\\xf0\\x9f', 'bytes:\\x8c\\x8d'],
    token_logprobs: [-1, -2, -9999],
    top_logprobs: [
      { x: -0.1, ü: -1 },
      { x: -0.1, 'bytes:\\xf0\\x9f': -2 },
      { x: -0.1, 'bytes:\\x8c\\x8d': -9999 }
    ],
    text_offset: [0, 1, 1]
  }
  expect((await whole({ logprobs: 1 }, model)).choices[0]?.logprobs).toEqual(expected)
  const chunks = await readChunks(await ask({ logprobs: 1, stream: true }, model), completionSchema)
  const pieces = chunks.flatMap(({ choices }) => choices[0]?.logprobs ?? [])
  expect(pieces.flatMap(({ tokens }) => tokens)).toEqual(expected.tokens)
  expect(pieces.flatMap(({ text_offset: offsets }) => offsets)).toEqual(expected.text_offset)
  expect(pieces.flatMap(({ top_logprobs: top }) => top)).toEqual(expected.top_logprobs)
})

test('a stream ends each choice once, tells the usage where asked for, and is done', async () => {
  const response = await ask({ stream: true, stream_options: { include_usage: true } })
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(response.headers.get('x-kwaai-chain')).toBe('peer:0-30')
  const chunks = await readChunks(response, completionSchema)
  expect(chunks.map(({ choices: [choice], usage }) => [choice?.text, choice?.finish_reason, usage])).toEqual([
    ['Hel', null, null],
    ['lo', null, null],
    [' 🌍', null, null],
    ['', 'stop', null],
    [
      undefined,
      undefined,
      {
        prompt_tokens: 11,
        completion_tokens: 3,
        total_tokens: 14,
        prompt_tokens_details: { cached_tokens: 4 }
      }
    ]
  ])
  const plain = await readChunks(await ask({ stream: true }), completionSchema)
  expect(plain.every((chunk) => !('usage' in chunk))).toBe(true)
})

test('one prompt that fails fails them all', async () => {
  let asked = 0
  const model = createFakeModel((request, signal) =>
    ++asked === 2 ? failAfter([], new Error('secret'))(request, signal) : say(['x'])(request, signal)
  )
  const api = createApi({}, { models: [model] })
  await expectError(await api.fetch(complete({ prompt: ['a', 'b', 'c'] })), 500, 'internal_error')
  expect(asked).toBe(2)
  asked = 0
  const events = parseEvents(
    await (await api.fetch(complete({ prompt: ['a', 'b', 'c'], stream: true }))).text()
  )
  expect(events.at(-1)?.event).toBe('error')
})

test('a model that answers beyond its choices has failed', async () => {
  const api = createApi({}, { models: [createFakeModel(sayEach([['a'], ['b']]))] })
  await expectError(await api.fetch(complete({ prompt: ['a', 'b'] })), 500, 'internal_error')
})

test('a client that leaves ends the prompt under way, and no other is begun', async () => {
  const client = new AbortController()
  const model = createFakeModel(async function* (request, signal) {
    yield* say(['x'])(request, signal)
    client.abort()
  })
  const api = createApi({}, { models: [model] })
  const response = await api.fetch(complete({ prompt: ['a', 'b'] }, { signal: client.signal }))
  await expectError(response, 499, 'request_cancelled')
  expect(model.completions).toHaveLength(1)
})

test.each<[Record<string, unknown>, string, string]>([
  [{ prompt: undefined }, 'prompt', 'missing_required_parameter'],
  [{ prompt: null }, 'prompt', 'missing_required_parameter'],
  [{ prompt: 5 }, 'prompt', 'invalid_value'],
  [{ prompt: [] }, 'prompt', 'invalid_value'],
  [{ prompt: [[]] }, 'prompt[0]', 'invalid_value'],
  [{ prompt: ['a', 1] }, 'prompt[1]', 'invalid_type'],
  [{ prompt: [1, -1] }, 'prompt[1]', 'invalid_value'],
  [{ prompt: Array.from({ length: 129 }, () => 'a') }, 'prompt', 'invalid_value'],
  [{ prompt: Array.from({ length: 65 }, () => 'a'), n: 2 }, 'prompt', 'invalid_value'],
  [{ suffix: 'end' }, 'suffix', 'unsupported_parameter'],
  [{ best_of: 3 }, 'best_of', 'unsupported_parameter'],
  [{ n: 2, best_of: 1 }, 'best_of', 'unsupported_parameter'],
  [{ logprobs: 6 }, 'logprobs', 'invalid_value'],
  [{ logprobs: true }, 'logprobs', 'invalid_type'],
  [{ max_tokens: -1 }, 'max_tokens', 'invalid_value'],
  [{ echo: true, prompt: [1, 2] }, 'echo', 'unsupported_parameter'],
  [{ echo: true, logprobs: 0 }, 'echo', 'unsupported_parameter'],
  [{ stream_options: {} }, 'stream_options', 'invalid_value'],
  [{ kwaai: { verify: true } }, 'kwaai.verify', 'unsupported_parameter']
])('%j is refused by name', async (body, param, code) => {
  const model = createFakeModel()
  const response = await createApi({}, { models: [model] }).fetch(complete(body))
  await expectError(response, 400, code, param)
  expect(model.completions).toEqual([])
})

test('a prompt that is too long is told with both counts', async () => {
  const details = { promptTokens: 3000, contextLength: 2048 }
  const error = new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'secret', { details })
  const api = createApi({}, { models: [createFakeModel(failAfter([], error))] })
  const message = await expectError(await api.fetch(complete()), 400, 'context_length_exceeded', 'prompt')
  expect(message).toBe(
    'The maximum context length is 2048 tokens, but the prompt is 3000 tokens long; shorten it'
  )
})

test('unknown fields are ignored and named', async () => {
  expect((await ask({ foo: 1, suffix: '' })).headers.get('x-kwaai-ignored')).toBe('foo')
})

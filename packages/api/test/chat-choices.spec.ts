import type { GenerationEvent } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { chatChunkSchema, chatCompletionSchema } from '../src/reply-schemas.ts'
import { createFakeModel, say, sayEach } from './support/fake-model.ts'
import { chat, expectError, parseEvents, readChunks } from './support/requests.ts'

test('several answers come under their indices, in one piece and by turns', async () => {
  const model = createFakeModel(sayEach([['a', 'b'], ['c'], []]))
  const api = createApi({}, { models: [model] })
  const whole = chatCompletionSchema.parse(await (await api.fetch(chat({ n: 3 }))).json())
  expect(model.requests[0]?.n).toBe(3)
  expect(whole.choices.map(({ index, message }) => [index, message.content])).toEqual([
    [0, 'ab'],
    [1, 'c'],
    [2, '']
  ])

  const chunks = await readChunks(await api.fetch(chat({ n: 3, stream: true })), chatChunkSchema)
  expect(chunks.map(({ choices: [choice] }) => [choice?.index, choice?.delta.content])).toEqual([
    [0, ''],
    [1, ''],
    [2, ''],
    [0, 'a'],
    [1, 'c'],
    [0, 'b'],
    [0, undefined],
    [1, undefined],
    [2, undefined]
  ])
  const ends = chunks.filter(({ choices: [choice] }) => choice?.finish_reason != null)
  expect(ends.map(({ choices: [choice] }) => choice?.index)).toEqual([0, 1, 2])
  for (const { choices } of ends) expect(choices[0]?.delta).toEqual({})
})

test('a model that leaves an answer out, or gives one too many, has failed', async () => {
  for (const [script, n] of [
    [sayEach([['a']]), 2],
    [sayEach([['a'], ['b']]), 1]
  ] as const) {
    const api = createApi({}, { models: [createFakeModel(script)] })
    await expectError(await api.fetch(chat({ n })), 500, 'internal_error')
    const events = parseEvents(await (await api.fetch(chat({ n, stream: true }))).text())
    expect(events.at(-1)?.event).toBe('error')
  }
})

test('probabilities: the tokens are the text, their bytes exact, the likeliest beside them', async () => {
  const pieces = ['Grü', 'ße ', '🌍']
  const model = createFakeModel(say(pieces))
  const api = createApi({}, { models: [model] })
  const body = { logprobs: true, top_logprobs: 2 }
  const whole = chatCompletionSchema.parse(await (await api.fetch(chat(body))).json())
  expect(model.requests[0]?.logprobs).toEqual({ top: 2 })
  const [choice] = whole.choices
  expect(choice?.logprobs?.content.map(({ token }) => token)).toEqual(pieces)
  expect(choice?.logprobs?.content[0]).toEqual({
    token: 'Grü',
    logprob: -0.25,
    bytes: [71, 114, 195, 188],
    top_logprobs: [
      { token: 'Grü', logprob: -0.25, bytes: [71, 114, 195, 188] },
      { token: 'other 1', logprob: -1.25, bytes: Array.from(new TextEncoder().encode('other 1')) }
    ]
  })
  const chunks = await readChunks(await api.fetch(chat({ ...body, stream: true })), chatChunkSchema)
  expect(chunks.flatMap(({ choices: [one] }) => one?.logprobs?.content ?? [])).toEqual(
    choice?.logprobs?.content
  )
  for (const { choices } of chunks) expect(choices[0]?.logprobs?.refusal ?? null).toBeNull()
})

test('without a wish for them there are none, and top_logprobs may be left out', async () => {
  const model = createFakeModel()
  const api = createApi({}, { models: [model] })
  const plain = chatCompletionSchema.parse(await (await api.fetch(chat())).json())
  expect(plain.choices[0]?.logprobs).toBeNull()
  const bare = chatCompletionSchema.parse(await (await api.fetch(chat({ logprobs: true }))).json())
  expect(model.requests[1]?.logprobs).toEqual({ top: 0 })
  expect(bare.choices[0]?.logprobs?.content[0]?.top_logprobs).toEqual([])
})

test('a token that is a part of a character has its bytes as its name; its text comes with the last part', async () => {
  const bytes = new TextEncoder().encode(' 🌍')
  const part = (from: number, to: number) => ({
    token: from,
    bytes: bytes.slice(from, to),
    logprob: -Infinity,
    top: []
  })
  const events: GenerationEvent[] = [
    { type: 'start', promptTokens: 1, chain: [] },
    { type: 'text', index: 0, text: '', tokens: [1], logprobs: [] },
    { type: 'text', index: 0, text: ' 🌍', tokens: [2], logprobs: [part(0, 3), part(3, 5)] },
    { type: 'finish', index: 0, reason: 'stop' },
    { type: 'usage', usage: { promptTokens: 1, completionTokens: 2, cachedTokens: 0 } }
  ]
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
  const whole = chatCompletionSchema.parse(await (await api.fetch(chat({ logprobs: true }))).json())
  expect(whole.choices[0]?.logprobs?.content).toEqual([
    { token: ' \\xf0\\x9f', logprob: -9999, bytes: [0x20, 0xf0, 0x9f], top_logprobs: [] },
    { token: '\\x8c\\x8d', logprob: -9999, bytes: [0x8c, 0x8d], top_logprobs: [] }
  ])
})

test('a model that forgets the probabilities it was asked for has failed', async () => {
  const api = createApi(
    {},
    { models: [createFakeModel((request, signal) => say(['x'])({ messages: request.messages }, signal))] }
  )
  await expectError(await api.fetch(chat({ logprobs: true })), 500, 'internal_error')
})

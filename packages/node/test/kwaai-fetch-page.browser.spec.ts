// In a page: the handler of the HTTP server, a model that computes there, the official client, and no server at all.
import { createApi, createKwaaiFetch } from '@kwaai/api'
import { createTextModel, localBlocks } from '@kwaai/shard/generate'
import { bytesSource, readGguf } from '@kwaai/shard/gguf'
import { createGrammarEngine } from '@kwaai/shard/grammar'
import { createReferenceBackend } from '@kwaai/shard/reference'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { toyModel } from '../../shard/test/toy-model.ts'

const opened: AsyncDisposable[] = []
let client: OpenAI
let sent = 0

beforeAll(async () => {
  const source = bytesSource(toyModel())
  const backend = createReferenceBackend()
  const head = await backend.loadHead(source)
  const { blockCount } = head.shape
  const parts = [
    await backend.loadBlocks(source, { from: 0, to: 1 }),
    await backend.loadBlocks(source, { from: 1, to: blockCount })
  ]
  const model = createTextModel(
    { id: 'toy' },
    { file: await readGguf(source), head, blocks: localBlocks(parts), grammar: createGrammarEngine() }
  )
  opened.push(backend, head, ...parts, model)
  const fetch = createKwaaiFetch(createApi({}, { models: [model] }))
  client = new OpenAI({
    apiKey: 'none',
    baseURL: 'http://kwaai.local/v1',
    fetch: (input, init) => {
      sent++
      return fetch(input, init)
    },
    maxRetries: 0,
    dangerouslyAllowBrowser: true
  })
})
afterAll(async () => {
  for (const one of opened.toReversed()) await one[Symbol.asyncDispose]()
})

const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Hello' }]

test('streams an answer that the page computed', async () => {
  const request = { model: 'toy', messages, temperature: 0, max_tokens: 12 }
  const whole = await client.chat.completions.create(request)
  const pieces: string[] = []
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    const piece = chunk.choices[0]?.delta.content ?? ''
    if (piece !== '') pieces.push(piece)
  }
  expect(pieces.length).toBeGreaterThan(1)
  expect(pieces.join('')).toBe(whole.choices[0]?.message.content)
  expect(whole.usage?.completion_tokens).toBe(12)
  expect(sent).toBe(2)
})

test('gives JSON of the shape that was asked for, lists its model, and stops when it is told to', async () => {
  const schema = {
    type: 'object',
    properties: { ok: { type: 'boolean' } },
    required: ['ok'],
    additionalProperties: false
  }
  const answer = await client.chat.completions.create({
    model: 'toy',
    messages,
    max_tokens: 40,
    seed: 1,
    response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } }
  })
  expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toEqual({ ok: expect.any(Boolean) })
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['toy'])
  const stream = await client.chat.completions.create({ model: 'toy', messages, stream: true })
  for await (const _ of stream) stream.controller.abort()
  await expect(client.chat.completions.create({ model: 'nobody', messages })).rejects.toBeInstanceOf(
    OpenAI.NotFoundError
  )
})

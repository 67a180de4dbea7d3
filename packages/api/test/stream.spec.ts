import { createFakeClock, macrotask } from '@kwaai/testing'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, say } from './support/fake-model.ts'
import { chat, parseEvents } from './support/requests.ts'
import { chatChunk, chatCompletion, errorObject } from './support/schemas.ts'

const pieces = ['Grüße', ' ', '', '👩‍🚀', '\n\ndata: [DONE]', '"\\', '\u2028']

test('streams role, text, reason and the end', async () => {
  const api = createApi({}, { models: [createFakeModel(say(pieces, 'length'))] })
  const response = await api.fetch(chat({ stream: true, foo: 1 }))
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(response.headers.get('x-kwaai-ignored')).toBe('foo')
  const events = parseEvents(await response.text())
  expect(events.pop()).toEqual({ event: 'message', data: '[DONE]' })
  const chunks = events.map(({ data }) => chatChunk.parse(JSON.parse(data)))

  expect(new Set(chunks.map((c) => [c.id, c.created, c.model, c.system_fingerprint].join())).size).toBe(1)
  expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '', refusal: null })
  const texts = chunks.slice(1, -1).map(({ choices }) => choices[0])
  expect(texts.map((choice) => choice?.delta)).toEqual(
    pieces.filter((p) => p !== '').map((content) => ({ content }))
  )
  expect(texts.every((choice) => choice?.finish_reason === null)).toBe(true)
  expect(chunks.at(-1)?.choices[0]).toEqual({ index: 0, delta: {}, logprobs: null, finish_reason: 'length' })
  expect(chunks.every((c) => !('usage' in c))).toBe(true)
})

test('the stream says what the answer in one piece says', async () => {
  const api = createApi({}, { models: [createFakeModel(say(pieces))] })
  const whole = chatCompletion.parse(await (await api.fetch(chat())).json())
  const events = parseEvents(await (await api.fetch(chat({ stream: true, stream_options: null }))).text())
  const text = events
    .slice(0, -1)
    .map(({ data }) => chatChunk.parse(JSON.parse(data)).choices[0]?.delta.content ?? '')
    .join('')
  expect(text).toBe(whole.choices[0].message.content)
})

test('usage comes in a chunk of its own, after the reason, where asked for', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  const response = await api.fetch(chat({ stream: true, stream_options: { include_usage: true } }))
  const chunks = parseEvents(await response.text())
    .slice(0, -1)
    .map(({ data }) => chatChunk.parse(JSON.parse(data)))
  const last = chunks.pop()
  expect(last?.choices).toEqual([])
  expect(last?.usage).toEqual({
    prompt_tokens: 11,
    completion_tokens: 3,
    total_tokens: 14,
    prompt_tokens_details: { cached_tokens: 4 }
  })
  expect(chunks.map(({ usage }) => usage)).toEqual(chunks.map(() => null))
  expect(chunks.filter(({ choices }) => choices[0]?.finish_reason != null)).toHaveLength(1)
})

test('a failure in mid-stream is an error event and the end, never content', async () => {
  const api = createApi({}, { models: [createFakeModel(failAfter(['par', 'tial'], new Error('secret')))] })
  const text = await (await api.fetch(chat({ stream: true }))).text()
  const events = parseEvents(text)
  expect(events.map(({ event }) => event)).toEqual(['message', 'message', 'message', 'error'])
  expect(errorObject.parse(JSON.parse(events.at(-1)?.data ?? '')).error.code).toBe('internal_error')
  expect(text).not.toMatch(/secret|\[DONE\]/)
})

test('the first byte comes before the last token', async () => {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const api = createApi(
    {},
    {
      models: [
        createFakeModel(async function* (request, signal) {
          for await (const event of say(['x'])(request, signal)) {
            if (event.type === 'text') await gate
            yield event
          }
        })
      ]
    }
  )
  const response = await api.fetch(chat({ stream: true }))
  const reader = response.body?.getReader()
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"role":"assistant"')
  release()
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"content":"x"')
  await reader?.cancel()
})

test('a long prefill is kept alive by comments, on the clock’s time', async () => {
  const clock = createFakeClock()
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const model = createFakeModel(async function* (request, signal) {
    await gate
    yield* say(['x'])(request, signal)
  })
  const api = createApi({ keepAliveMs: 1000 }, { models: [model], clock })
  const pending = api.fetch(chat({ stream: true }))
  await clock.advance(999)
  await clock.advance(1)
  const response = await pending
  expect(response.status).toBe(200)
  const received: string[] = []
  const reading = (async () => {
    for await (const bytes of response.body ?? []) received.push(new TextDecoder().decode(bytes))
  })()
  await macrotask()
  await clock.advance(3500)
  expect(received).toEqual([': ping\n\n', ': ping\n\n', ': ping\n\n'])
  release()
  await reading
  expect(parseEvents(received.join('')).at(-1)?.data).toBe('[DONE]')
  expect(clock.sleeping).toBe(0)
})

test('a model that fails late in a long prefill is an error event', async () => {
  const clock = createFakeClock()
  let fail = (): void => undefined
  const gate = new Promise<never>((_, reject) => (fail = () => reject(new Error('lost'))))
  const model = createFakeModel(async function* (request, signal) {
    await gate
    yield* say([])(request, signal)
  })
  const pending = createApi({}, { models: [model], clock }).fetch(chat({ stream: true }))
  await clock.advance(10_000)
  const response = await pending
  fail()
  expect(parseEvents(await response.text()).map(({ event }) => event)).toEqual(['error'])
})

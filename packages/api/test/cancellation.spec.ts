import type { GenerationEvent } from '@kwaai/interface'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, type Script } from './support/fake-model.ts'
import { chat, expectError, parseEvents } from './support/requests.ts'
import { chatChunk } from './support/schemas.ts'

/** A model that counts what it makes and sees who lets go of it. */
function endless(): { script: Script; made: () => number; aborted: () => number; returned: () => number } {
  let made = 0
  let aborted = 0
  let returned = 0
  const script: Script = async function* (_, signal) {
    signal.addEventListener('abort', () => (aborted += 1))
    try {
      yield { type: 'start', promptTokens: 1, chain: [] }
      for (;;) {
        made += 1
        yield { type: 'text', index: 0, text: `${made} `, tokens: [made] }
      }
    } finally {
      returned += 1
    }
  }
  return { script, made: () => made, aborted: () => aborted, returned: () => returned }
}

/** Waits for what never comes; only its signal could wake it, and it does not listen. */
const deaf =
  (seen: AbortSignal[]): Script =>
  (_, signal) => {
    seen.push(signal)
    return {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<GenerationEvent>>(() => {}) })
    }
  }

test('a cancelled stream aborts the generation at once and lets go of it', async () => {
  const model = endless()
  const api = createApi({ maxGenerations: 1 }, { models: [createFakeModel(model.script)] })
  for (let round = 1; round <= 3; round++) {
    const reader = (await api.fetch(chat({ stream: true }))).body?.getReader()
    await reader?.read()
    await reader?.read()
    const cancelled = reader?.cancel()
    expect(model.aborted()).toBe(round)
    await cancelled
    await macrotask()
    expect(model.returned()).toBe(round)
  }
})

test('a stream that was never read is let go of too', async () => {
  const model = endless()
  const api = createApi({ maxGenerations: 1 }, { models: [createFakeModel(model.script)] })
  await (await api.fetch(chat({ stream: true }))).body?.cancel()
  expect(model.aborted()).toBe(1)
  expect((await api.fetch(chat({ stream: true }))).status).toBe(200)
})

test('the request’s signal aborts the generation at once and fails the stream', async () => {
  const model = endless()
  const api = createApi({}, { models: [createFakeModel(model.script)] })
  const client = new AbortController()
  const response = await api.fetch(chat({ stream: true }, { signal: client.signal }))
  const reader = response.body?.getReader()
  await reader?.read()
  client.abort()
  expect(model.aborted()).toBe(1)
  // Without a failure the part would look like the whole.
  await expect(reader?.read()).rejects.toThrow()
})

test('a model that does not listen holds nobody up', async () => {
  const seen: AbortSignal[] = []
  const api = createApi({ maxGenerations: 1 }, { models: [createFakeModel(deaf(seen))] })
  for (const stream of [false, true, false]) {
    const client = new AbortController()
    const pending = api.fetch(chat({ stream }, { signal: client.signal }))
    while (seen.length === 0) await macrotask()
    client.abort()
    expect(seen.pop()?.aborted).toBe(true)
    await expectError(await pending, 499, 'request_cancelled')
  }
})

test('a request that is over before it begins asks no model', async () => {
  const model = createFakeModel()
  const client = new AbortController()
  client.abort()
  const response = await createApi({}, { models: [model] }).fetch(chat({}, { signal: client.signal }))
  await expectError(response, 499, 'request_cancelled')
  expect(model.requests).toEqual([])
})

test('a reader that takes nothing for too long loses its generation', async () => {
  const clock = createFakeClock()
  const model = endless()
  const init = { maxGenerations: 1, keepAliveMs: 1000, stallTimeoutMs: 5000 }
  const api = createApi(init, { models: [createFakeModel(model.script)], clock })
  const reader = (await api.fetch(chat({ stream: true }))).body?.getReader()
  await clock.advance(4000)
  await reader?.read()
  await clock.advance(4000)
  expect(model.aborted()).toBe(0)
  await clock.advance(1000)
  expect(model.aborted()).toBe(1)
  await expect(reader?.read()).rejects.toThrow('nothing for too long')
  expect(clock.sleeping).toBe(0)
  expect((await api.fetch(chat({ stream: true }))).status).toBe(200)
})

test('twenty slow readers: no event is made before it is wanted, none is lost, the order holds', async () => {
  const models = Array.from({ length: 20 }, endless)
  const api = createApi(
    {},
    {
      models: models.map((model, index) => createFakeModel(model.script, `m${index}`)),
      clock: createFakeClock()
    }
  )
  const readers = await Promise.all(
    models.map(async (_, index) => {
      const response = await api.fetch(chat({ model: `m${index}`, stream: true }))
      return response.body?.getReader()
    })
  )
  const received = models.map(() => '')
  for (let step = 0; step < 100; step++) {
    await Promise.all(
      readers.map(async (reader, index) => {
        // Reader 0 reads in every step, reader 19 in every twentieth.
        if (step % (index + 1) !== 0) return
        received[index] += new TextDecoder().decode((await reader?.read())?.value)
      })
    )
    await macrotask()
    for (const [index, model] of models.entries()) {
      const reads = Math.floor(step / (index + 1)) + 1
      expect(model.made()).toBe(reads - 1)
    }
  }
  await Promise.all(readers.map((reader) => reader?.cancel()))
  for (const [index, text] of received.entries()) {
    const numbers = parseEvents(text)
      .map(({ data }) => chatChunk.parse(JSON.parse(data)).choices[0]?.delta.content ?? '')
      .join('')
    const made = models[index]?.made() ?? 0
    expect(numbers).toBe(Array.from({ length: made }, (_, i) => `${i + 1} `).join(''))
    expect(models[index]?.aborted()).toBe(1)
  }
})

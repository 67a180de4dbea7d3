// Whoever leaves, at whatever point, gives his place back.
import type { GenerationEvent } from '@kwaai/interface'
import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { createApi, createApiKeys, type AnswerOutcome } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, say, type Script } from './support/fake-model.ts'
import { base, hello } from './support/requests.ts'

const bodies: Record<string, Record<string, unknown>> = {
  '/v1/chat/completions': { messages: hello },
  '/v1/completions': { prompt: 'Hello' },
  '/v1/responses': { input: 'Hello', store: false }
}

async function setup(script: Script) {
  const clock = createFakeClock()
  const ended: AnswerOutcome[] = []
  const keys = createApiKeys({}, { store: createMemoryStore(), clock, random: systemRandom })
  const limits = { concurrent: 1, tokensPerMinute: 1_000_000 }
  const { secret } = await keys.create({ name: 'test', limits })
  const api = createApi(
    { maxGenerations: 1 },
    {
      models: [createFakeModel(script)],
      keys,
      clock,
      recorder: { record: ({ outcome }) => void ended.push(outcome) }
    }
  )
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }
  const ask = (path: string, more: object, signal?: AbortSignal): Promise<Response> =>
    api.fetch(
      new Request(base + path, {
        method: 'POST',
        headers,
        body: JSON.stringify({ model: 'fake', ...bodies[path], ...more }),
        ...(signal !== undefined && { signal })
      })
    )
  /** Takes the only place there is, if it is free. */
  const free = async (path: string): Promise<void> => {
    const response = await ask(path, { stream: true })
    expect([path, response.status]).toEqual([path, 200])
    await response.body?.cancel()
    await macrotask()
  }
  return { api, ask, ended, free, clock, headers }
}

test.each(Object.keys(bodies))('%s: a reader that leaves after any number of events', async (path) => {
  const { ask, ended, free, clock } = await setup(say(['a', 'b', 'c']))
  const whole = await (await ask(path, { stream: true })).text()
  const count = whole.split('\n\n').length
  expect(count).toBeGreaterThan(4)
  for (let taken = 0; taken <= count; taken++)
    for (const how of ['cancel', 'abort'] as const) {
      const client = new AbortController()
      const response = await ask(path, { stream: true }, client.signal)
      const reader = response.body?.getReader()
      for (let i = 0; i < taken; i++) await reader?.read()
      if (how === 'cancel') await reader?.cancel()
      else client.abort()
      await macrotask()
      await free(path)
    }
  // One entry an answer, and none that says more tokens than were made.
  const ids = ended.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toHaveLength(1 + 4 * (count + 1))
  for (const { usage } of ended) {
    expect(usage?.promptTokens ?? 0).toBeLessThanOrEqual(11)
    expect(usage?.completionTokens ?? 0).toBeLessThanOrEqual(3)
  }
  expect(clock.sleeping).toBe(0)
})

test.each(Object.keys(bodies))(
  '%s: whatever fails, and whoever leaves while the model thinks',
  async (path) => {
    let calls = 0
    const scripts: Script[] = [
      failAfter([], new Error('lost')),
      failAfter(['a'], new Error('lost')),
      () => {
        throw new Error('lost')
      },
      async function* (): AsyncGenerator<GenerationEvent> {
        yield { type: 'start', promptTokens: 11, chain: [] }
      },
      async function* (_, signal): AsyncGenerator<GenerationEvent> {
        yield { type: 'start', promptTokens: 11, chain: [] }
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      }
    ]
    const { ask, free, clock } = await setup((request, signal) => {
      const script = scripts[calls++ % (scripts.length + 1)] ?? say(['x'])
      return script(request, signal)
    })
    for (const stream of [false, true])
      for (let round = 0; round < scripts.length; round++) {
        calls = round
        const client = new AbortController()
        const pending = ask(path, { stream }, client.signal)
        for (let turn = 0; turn < 3; turn++) await macrotask()
        client.abort()
        const response = await pending
        await response.text().catch(() => undefined)
        await macrotask()
        calls = scripts.length
        await free(path)
      }
    expect(clock.sleeping).toBe(0)
  }
)

test('requests that are refused take no place and no tokens', async () => {
  const { api, ask, free, headers } = await setup(say(['x']))
  for (const path of Object.keys(bodies)) {
    for (const more of [
      { model: 'none' },
      { model: 5 },
      { temperature: 9 },
      { stream: 'x' },
      { kwaai: { verify: true } }
    ])
      expect((await ask(path, more)).status).toBeGreaterThanOrEqual(400)
    const large = new Request(base + path, { method: 'POST', headers, body: 'x'.repeat(9_000_000) })
    expect((await api.fetch(large)).status).toBe(413)
  }
  const response = await ask('/v1/chat/completions', {})
  expect(response.headers.get('x-ratelimit-remaining-tokens')).toBe(String(1_000_000 - 12))
  await free('/v1/chat/completions')
})

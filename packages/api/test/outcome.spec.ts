import type { LogLevel, Meter, MeteredUsage } from '@kwaai/interface'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { createApi, type AnswerOutcome, type ApiComponents, type OutcomeRecorder } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, say } from './support/fake-model.ts'
import { chat, parseEvents } from './support/requests.ts'
import { chatCompletion } from './support/schemas.ts'

function metering(): { added: MeteredUsage[]; meter: Meter } {
  const added: MeteredUsage[] = []
  return {
    added,
    meter: { add: (usage) => void added.push(usage), receipt: async (reference) => `receipt-of-${reference}` }
  }
}

const setup = (components: Partial<ApiComponents>, script = say(['a', 'b'])) => {
  const clock = createFakeClock()
  const logged: [LogLevel, string, unknown][] = []
  const api = createApi(
    { maxGenerations: 1 },
    {
      models: [createFakeModel(script)],
      clock,
      logger: { log: (...[level, event, fields]) => logged.push([level, event, fields]) },
      ...components
    }
  )
  return { api, clock, logged }
}

test('a meter is told the tokens of an answer under its caller, and its receipt goes to the client', async () => {
  const { meter, added } = metering()
  const { api } = setup({ meter })
  const response = await api.fetch(chat())
  const { id } = chatCompletion.parse(await response.json())
  expect(response.headers.get('x-kwaai-receipt')).toBe(`receipt-of-${id}`)
  const line = { account: 'local', reference: id }
  expect(added).toEqual([
    { ...line, unit: 'prompt-tokens', amount: 11 },
    { ...line, unit: 'completion-tokens', amount: 2 },
    { ...line, unit: 'cached-tokens', amount: 4 }
  ])
})

test('who leaves pays for what was made; what failed is nobody’s debt', async () => {
  const { meter, added } = metering()
  const { api } = setup({ meter })
  const reader = (await api.fetch(chat({ stream: true }))).body?.getReader()
  await reader?.read()
  await reader?.read()
  await reader?.cancel()
  await macrotask()
  expect(added.map(({ unit, amount }) => [unit, amount])).toEqual([
    ['prompt-tokens', 11],
    ['completion-tokens', 1]
  ])

  const failing = metering()
  const broken = setup({ meter: failing.meter }, failAfter(['x'], new Error('lost')))
  expect((await broken.api.fetch(chat())).status).toBe(500)
  await (await broken.api.fetch(chat({ stream: true }))).text()
  expect(failing.added).toEqual([])
})

test('nobody by name is anonymous', async () => {
  const { meter, added } = metering()
  const api = createApi({ caller: () => undefined }, { models: [createFakeModel()], meter })
  await api.fetch(chat())
  expect(new Set(added.map(({ account }) => account))).toEqual(new Set(['anonymous']))
})

const fails: Meter[] = [
  {
    add: () => {
      throw new Error('full')
    }
  },
  { add: () => undefined, receipt: () => Promise.reject(new Error('no ink')) },
  { add: () => undefined, receipt: async () => 'line\nfeed' },
  { add: () => undefined, receipt: async () => 'x'.repeat(5000) },
  { add: () => undefined, receipt: async () => 'ü' },
  { add: () => undefined }
]
test.each(fails)('a meter that fails harms nobody (%#)', async (meter) => {
  const { api } = setup({ meter })
  const response = await api.fetch(chat())
  expect([response.status, response.headers.get('x-kwaai-receipt')]).toEqual([200, null])
  expect(parseEvents(await (await api.fetch(chat({ stream: true }))).text()).at(-1)?.data).toBe('[DONE]')
})

test('a meter or a recorder that never answers costs a second each', async () => {
  const never = new Promise<never>(() => undefined)
  const signals: (AbortSignal | undefined)[] = []
  const { api, clock, logged } = setup({
    meter: { add: () => undefined, receipt: (_, options) => (signals.push(options?.signal), never) },
    recorder: { record: (_, { signal }) => (signals.push(signal), never) }
  })
  const pending = api.fetch(chat())
  await clock.advance(999)
  expect(signals.map((signal) => signal?.aborted)).toEqual([false])
  await clock.advance(1)
  // What is recorded has the receipt in it, so it waits for the meter.
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, false])
  await clock.advance(1000)
  expect((await pending).status).toBe(200)
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true])
  expect(logged.map(([, event]) => event)).toContain('api.meter-failed')
  expect(logged.map(([, event]) => event)).toContain('api.recorder-failed')
  expect(clock.sleeping).toBe(0)
})

test('each answer is told once, with what became of it, before its client is', async () => {
  const told: AnswerOutcome[] = []
  const recorder: OutcomeRecorder = { record: ({ outcome }) => void told.push(outcome) }
  const { api, logged } = setup({ recorder })
  const { id, created, model } = chatCompletion.parse(await (await api.fetch(chat())).json())
  expect(told).toHaveLength(1)
  expect(told[0]).toMatchObject({
    id,
    created,
    model,
    kind: 'chat',
    stream: false,
    outcome: 'completed',
    finishReason: 'stop',
    usage: { promptTokens: 11, completionTokens: 2, cachedTokens: 4 },
    durationMs: 0
  })
  await (await api.fetch(chat({ stream: true }))).text()
  await (await api.fetch(chat({ stream: true }))).body?.cancel()
  await macrotask()
  // Refused requests are no answers.
  await api.fetch(chat({ model: 'none' }))
  expect(told.map(({ outcome, stream }) => [outcome, stream])).toEqual([
    ['completed', false],
    ['completed', true],
    ['cancelled', true]
  ])
  const broken = setup({ recorder }, failAfter(['x'], new Error('lost')))
  await broken.api.fetch(chat())
  expect(told.at(-1)).toMatchObject({ outcome: 'failed', error: expect.any(Error) })
  // The log has one entry an answer and one a request, and no text.
  expect(logged.filter(([, event]) => event === 'api.generation')).toHaveLength(3)
  expect(logged.filter(([, event]) => event === 'api.request')).toHaveLength(4)
  expect(JSON.stringify(logged)).not.toContain('Hello')
})

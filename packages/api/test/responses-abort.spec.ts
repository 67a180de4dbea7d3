import { createMemoryStore } from '@kwaai/interface/memory'
import { macrotask } from '@kwaai/testing'
import { createApi, type AnswerOutcome } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, say } from './support/fake-model.ts'
import { get } from './support/requests.ts'
import { eventsOf, respondTo } from './support/responses.ts'

const running = async (api: ReturnType<typeof setup>['api']): Promise<string | undefined> =>
  /^kwaai_api_answers_running (\d+)$/m.exec(await (await api.fetch(get('/metrics'))).text())?.[1]

const setup = (beforeBatch: () => Promise<void> = async () => undefined) => {
  const memory = createMemoryStore()
  const told: AnswerOutcome[] = []
  let alive = 0
  const model = createFakeModel(async function* (request, signal) {
    alive++
    try {
      yield* say(['a', 'b', 'c'])(request, signal)
    } finally {
      alive--
    }
  })
  const store: typeof memory = {
    ...memory,
    async batch(operations) {
      await beforeBatch()
      await memory.batch(operations)
    }
  }
  const recorder = { record: ({ outcome }: { outcome: AnswerOutcome }) => void told.push(outcome) }
  const api = createApi({}, { models: [model], store, recorder })
  const keys = async (): Promise<number> => {
    let count = 0
    for await (const _ of memory.entries()) count++
    return count
  }
  return { api, told, keys, alive: () => alive }
}

test('whoever leaves, after whichever event, leaves nothing running and nothing half kept', async () => {
  const whole = await (await setup().api.fetch(respondTo({ stream: true }))).text()
  const frames = eventsOf(whole).length
  let completed = 0
  // One read more than there are frames finds the end.
  for (let reads = 0; reads <= frames; reads++) {
    const { api, told, keys, alive } = setup()
    const reader = (await api.fetch(respondTo({ stream: true }))).body?.getReader()
    let text = ''
    for (let read = 0; read < reads; read++) {
      const { value } = (await reader?.read()) ?? {}
      text += new TextDecoder().decode(value)
    }
    await reader?.cancel()
    await macrotask()
    const ended = text.includes('response.completed')
    expect(told.map(({ outcome }) => outcome)).toEqual([ended ? 'completed' : 'cancelled'])
    expect([await keys(), alive(), await running(api)]).toEqual([ended ? 2 : 0, 0, '0'])
    if (ended) completed++
  }
  expect(completed).toBeGreaterThan(0)
})

test('whoever leaves while the answer is being kept finds it kept', async () => {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const { api, told, keys } = setup(() => gate)
  const reader = (await api.fetch(respondTo({ stream: true }))).body?.getReader()
  let text = ''
  while (!text.includes('response.output_item.done'))
    text += new TextDecoder().decode((await reader?.read())?.value)
  const last = reader?.read()
  await macrotask()
  await reader?.cancel()
  release()
  await last
  await macrotask()
  expect([told.map(({ outcome }) => outcome), await keys(), await running(api)]).toEqual([
    ['completed'],
    2,
    '0'
  ])
  const id = /"id":"(resp_\w+)"/.exec(text)?.[1]
  expect((await api.fetch(get(`/v1/responses/${id}`))).status).toBe(200)
})

test('a request that is aborted while it waits for one piece keeps nothing', async () => {
  let begun = (): void => undefined
  const started = new Promise<void>((resolve) => (begun = resolve))
  let aborted = false
  const model = createFakeModel(async function* (_, signal) {
    yield { type: 'start', promptTokens: 1, chain: [] }
    begun()
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    aborted = true
    yield { type: 'finish', index: 0, reason: 'stop' }
  })
  const store = createMemoryStore()
  const api = createApi({}, { models: [model], store })
  const controller = new AbortController()
  const pending = api.fetch(
    respondTo({}, { headers: { 'content-type': 'application/json' }, signal: controller.signal })
  )
  await started
  controller.abort()
  expect((await pending).status).toBe(499)
  await macrotask()
  expect([aborted, await running(api)]).toEqual([true, '0'])
  for await (const [key] of store.entries()) expect(key).toBe('nothing')
})

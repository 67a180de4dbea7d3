import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom } from '@kwaai/testing'
import { createApi, createApiKeys, type Api } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createMetricsRegistry } from '../src/metrics.ts'
import { createFakeModel, failAfter, say } from './support/fake-model.ts'
import { parseMetrics, type MetricsText } from './support/prometheus.ts'
import { chat, get } from './support/requests.ts'

async function metricsOf(api: Api): Promise<MetricsText> {
  const response = await api.fetch(get('/metrics'))
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return parseMetrics(await response.text())
}

test('counts requests, answers, tokens and times', async () => {
  const clock = createFakeClock()
  const slow = createFakeModel(async function* (request, signal) {
    await clock.sleep(200, { signal })
    for await (const event of say(['a', 'b'])(request, signal)) {
      if (event.type === 'finish') await clock.sleep(1000, { signal })
      yield event
    }
  }, 'slow "one"\\\n')
  const api = createApi(
    {},
    {
      models: [createFakeModel(), slow, createFakeModel(failAfter(['x'], new Error('lost')), 'broken')],
      clock
    }
  )
  await (await api.fetch(chat())).text()
  await (await api.fetch(chat({ stream: true }))).text()
  const pending = api.fetch(chat({ model: 'slow "one"\\\n' }))
  await clock.advance(200)
  expect((await metricsOf(api)).value('kwaai_api_answers_running')).toBe(1)
  await clock.advance(1000)
  await (await pending).text()
  await (await api.fetch(chat({ stream: true }))).body?.cancel()
  await (await api.fetch(chat({ stream: true, model: 'broken' }))).text()
  await (await api.fetch(chat({ model: 'broken' }))).text()
  await api.fetch(chat({ model: 'none' }))
  await api.fetch(chat('{'))
  await api.fetch(get('/v1/models/a/b', { method: 'HEAD' }))
  await api.fetch(get('/nope'))

  const found = await metricsOf(api)
  const at = { method: 'POST', route: '/v1/chat/completions' }
  expect(found.value('kwaai_api_requests_total', { ...at, status: '200' })).toBe(5)
  expect(found.value('kwaai_api_requests_total', { ...at, status: '500' })).toBe(1)
  expect(found.value('kwaai_api_requests_total', { ...at, status: '404' })).toBe(1)
  expect(found.value('kwaai_api_requests_total', { route: '/v1/models/{id}', method: 'HEAD' })).toBe(1)
  expect(found.value('kwaai_api_requests_total', { route: 'none', status: '404' })).toBe(1)
  expect(found.value('kwaai_api_refusals_total', { code: 'model_not_found' })).toBe(2)
  expect(found.value('kwaai_api_refusals_total', { code: 'invalid_json' })).toBe(1)
  expect(found.value('kwaai_api_answers_running')).toBe(0)
  const answers = (model: string, outcome: string): number =>
    found.value('kwaai_api_answers_total', { model, kind: 'chat', outcome })
  expect([answers('fake', 'completed'), answers('fake', 'cancelled'), answers('broken', 'failed')]).toEqual([
    2, 1, 2
  ])
  const tokens = (type: string): number =>
    found.value('kwaai_api_tokens_total', { model: 'slow "one"\\\n', type })
  expect([tokens('prompt'), tokens('completion'), tokens('cached')]).toEqual([11, 2, 4])
  const times = { model: 'slow "one"\\\n', kind: 'chat' }
  expect(found.value('kwaai_api_time_to_first_token_seconds_sum', times)).toBe(0.2)
  expect(found.value('kwaai_api_answer_duration_seconds_sum', times)).toBe(1.2)
  expect(found.value('kwaai_api_answer_duration_seconds_bucket', { ...times, le: '1' })).toBe(0)
  expect(found.value('kwaai_api_answer_duration_seconds_bucket', { ...times, le: '2.5' })).toBe(1)
})

test('whatever comes, no counter falls and no name of a request becomes a label', async () => {
  const api = createApi(
    { maxGenerations: 2 },
    { models: [createFakeModel(), createFakeModel(failAfter([], new Error('lost')), 'broken')] }
  )
  const random = createSeededRandom('metrics')
  const odd = (): string => Array.from(random.bytes(6), (byte) => byte.toString(16)).join('')
  let before = await metricsOf(api)
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const pick = Math.floor(random.next() * 6)
        const request = [
          () => chat(),
          () => chat({ model: 'broken' }),
          () => chat({ model: odd() }),
          () => get(`/${odd()}`),
          () => get(`/v1/models/${odd()}`),
          () => get('/v1/models', { method: odd().replace(/\d/g, 'X') })
        ][pick]?.()
        await (await api.fetch(request ?? expect.fail())).text()
      })
    )
    const now = await metricsOf(api)
    for (const { name, labels, value } of before.samples)
      if (now.types.get(name) === 'counter') expect(now.value(name, labels)).toBeGreaterThanOrEqual(value)
    before = now
  }
  expect(before.samples.length).toBeLessThan(120)
  expect(new Set(before.samples.map(({ labels }) => labels['method']))).toEqual(
    new Set([undefined, 'GET', 'POST', 'other'])
  )
})

test('a metric holds so many series, and counts the others together', () => {
  const registry = createMetricsRegistry({ maxSeries: 3 })
  const counter = registry.counter('c_total', 'Counts.', ['name'])
  const histogram = registry.histogram('h', 'Measures.', ['name'], [1, 2])
  for (let i = 0; i < 100; i++) {
    counter.of([`n${i}`]).add()
    histogram.of([`n${i}`]).observe(i)
  }
  for (const odd of [-1, Number.NaN, Infinity]) {
    counter.of(['n0']).add(odd)
    histogram.of(['n0']).observe(odd)
  }
  const found = parseMetrics(registry.text())
  const totals = ['n0', 'n1', 'n2', 'other'].map((name) => found.value('c_total', { name }))
  expect(totals).toEqual([1, 1, 1, 97])
  expect(found.value('h_count', { name: 'other' })).toBe(97)
  expect(found.value('h_bucket', { name: 'other', le: '2' })).toBe(0)
  expect(found.value('h_bucket', { name: 'n2', le: '2' })).toBe(1)
  expect(found.samples.filter(({ name }) => name === 'c_total')).toHaveLength(4)
})

test('with keys a scraper needs one', async () => {
  const clock = createFakeClock()
  const keys = createApiKeys({}, { store: createMemoryStore(), clock, random: systemRandom })
  const { secret } = await keys.create({ name: 'scraper' })
  const api = createApi({}, { models: [], keys, clock })
  expect((await api.fetch(get('/metrics'))).status).toBe(401)
  const response = await api.fetch(get('/metrics', { headers: { authorization: `Bearer ${secret}` } }))
  const found = parseMetrics(await response.text())
  expect(found.value('kwaai_api_refusals_total', { code: 'invalid_api_key' })).toBe(1)
})

test('the check of the format can fail', () => {
  for (const text of [
    '',
    '# HELP a x\n# TYPE a counter\nb 1\n',
    '# TYPE a counter\na 1\n',
    '# HELP a x\n# TYPE a counter\na{b="c} 1\n',
    '# HELP a x\n# TYPE a counter\na 1\na 2\n',
    '# HELP a x\n# TYPE a counter\na NaN\n',
    '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\n',
    '# HELP h x\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n'
  ])
    expect(() => parseMetrics(text)).toThrow()
})

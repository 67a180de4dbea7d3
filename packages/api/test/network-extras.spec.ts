// What only a network has: who may compute an answer, who did, and what it cost.
import { KwaaiError, type ChainHop, type Meter } from '@kwaai/interface'
import { createApi } from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeModel, failAfter, say, type Script } from './support/fake-model.ts'
import { chat, expectError, get } from './support/requests.ts'

const hop = (peer: string, from: number, to: number): ChainHop => ({ peer, from, to, numericsClass: 'x' })
const over = (chain: readonly ChainHop[], hops?: readonly ChainHop[]): Script =>
  async function* (request, signal) {
    for await (const event of say(['x'])(request, signal))
      if (event.type === 'start') yield { ...event, chain }
      else if (event.type === 'usage' && hops !== undefined) yield { ...event, hops }
      else yield event
  }
const chainOf = async (script: Script, body: Record<string, unknown> = {}): Promise<string | null> => {
  const response = await createApi({}, { models: [createFakeModel(script)] }).fetch(chat(body))
  expect(response.status).toBe(200)
  return response.headers.get('x-kwaai-chain')
}

test('a header tells who computed which blocks, for streams too', async () => {
  const chain = [hop('12D3KooWabcdefgh12345678', 0, 10), hop('12D3KooWabcdefgh87654321', 10, 30)]
  for (const stream of [false, true])
    expect(await chainOf(over(chain), { stream })).toBe('12345678:0-10, 87654321:10-30')
  expect(await chainOf(over([]))).toBeNull()
})

test('where servers took the place of others the header of a whole answer tells the last ones', async () => {
  const script = over([hop('first', 0, 30)], [hop('second', 0, 30)])
  expect(await chainOf(script)).toBe('second:0-30')
  expect(await chainOf(script, { stream: true })).toBe('first:0-30')
})

test('names and numbers of peers are bounded and harmless in a header', async () => {
  const odd = Array.from({ length: 100 }, (_, i) => hop(`peer\r\nx: ü${i}, `, i, i + 1))
  const header = (await chainOf(over(odd))) ?? ''
  expect(header).toMatch(/^[\x20-\x7e]+$/)
  expect(header).toMatch(/, \+68$/)
  expect(header.length).toBeLessThan(1000)
})

test('a chain that is not known when the stream begins is not told', async () => {
  const script: Script = async function* () {
    yield { type: 'text', index: 0, text: 'x', tokens: [1] }
    yield { type: 'finish', index: 0, reason: 'stop' }
    yield { type: 'usage', usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } }
  }
  expect(await chainOf(script, { stream: true })).toBeNull()
})

test('the receipt of a meter stands in a header of an answer in one piece', async () => {
  const receipts = ['eyJhbGciOiJFZERTQSJ9.e30.c2ln', 'bad\r\nx: y', 'x'.repeat(5000)]
  const seen: (string | null)[] = []
  for (const receipt of receipts) {
    const meter: Meter = {
      add: () => undefined,
      receipt: async () => receipt
    }
    const api = createApi({}, { models: [createFakeModel()], meter })
    seen.push((await api.fetch(chat())).headers.get('x-kwaai-receipt'))
  }
  expect(seen).toEqual([receipts[0], null, null])
})

test('a model that does not choose its servers refuses the field by its name', async () => {
  const cases: [string, string][] = [
    ['route', 'kwaai'],
    ['maxPrice', 'kwaai.maxPrice']
  ]
  for (const [param, name] of cases) {
    const error = new KwaaiError('ERR_MODEL_UNSUPPORTED', 'no', { details: { param } })
    const api = createApi({}, { models: [createFakeModel(failAfter([], error))] })
    const response = await api.fetch(chat({ kwaai: { maxPrice: 1 } }))
    await expectError(response, 400, 'unsupported_parameter', name)
  }
})

const explanation = {
  chain: [hop('a', 0, 30)],
  relaxed: [],
  candidates: [
    { ...hop('a', 0, 30), chosen: true, reason: '', failed: [] },
    { ...hop('b', 0, 30), chosen: false, reason: 'its tier is known', failed: ['minTier' as const] }
  ]
}

test('explains who would compute an answer under the constraints of the query', async () => {
  const asked: unknown[] = []
  const explain = async (route?: unknown) => {
    asked.push(route)
    return explanation
  }
  const models = [{ ...createFakeModel(), explain }, createFakeModel(undefined, 'local')]
  const api = createApi({}, { models })
  const query = 'model=fake&minTier=verified&maxLatencyMs=12.5&minScore=0.5&region=eu&region=ch&maxPrice=2'
  const response = await api.fetch(get(`/v1/kwaai/explain?${query}`))
  expect([response.status, await response.json()]).toEqual([
    200,
    { object: 'kwaai.route_explanation', model: 'fake', ...explanation }
  ])
  expect((await api.fetch(get('/v1/kwaai/explain?region=eu'))).status).toBe(200)
  expect((await api.fetch(get('/v1/kwaai/explain'))).status).toBe(200)
  expect(asked).toEqual([
    { minTier: 'verified', maxLatencyMs: 12.5, minScore: 0.5, region: ['eu', 'ch'], maxPrice: 2 },
    { region: 'eu' },
    undefined
  ])
})

test.each([
  ['model=nope', 404, 'model_not_found', 'model'],
  ['model=local', 400, 'model_not_supported', 'model'],
  ['minTier=best', 400, 'invalid_value', 'minTier'],
  ['maxLatencyMs=fast', 400, 'invalid_type', 'maxLatencyMs'],
  ['maxLatencyMs=', 400, 'invalid_type', 'maxLatencyMs'],
  ['maxLatencyMs=1&maxLatencyMs=2', 400, 'invalid_value', 'maxLatencyMs'],
  ['residency=eu', 400, 'unsupported_parameter', 'residency'],
  ['verify=true', 400, 'unsupported_parameter', 'kwaai.verify']
])('explain?%s is refused', async (query, status, code, param) => {
  const models = [
    { ...createFakeModel(), explain: async () => explanation },
    createFakeModel(undefined, 'local')
  ]
  const response = await createApi({}, { models }).fetch(get(`/v1/kwaai/explain?${query}`))
  await expectError(response, status, code, param)
})

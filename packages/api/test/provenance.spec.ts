import { createIdentity } from '@kwaai/identity'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, macrotask } from '@kwaai/testing'
import {
  createApi,
  verifyProvenance,
  type Api,
  type ApiComponents,
  type ApiInit,
  type ProvenanceObject,
  type ProvenanceRecord
} from '@kwaai/api'
import { expect, test } from 'vitest'
import { createFakeEmbedder, createFakeModel, failAfter, say, type Script } from './support/fake-model.ts'
import { chat, expectError, get } from './support/requests.ts'

const signer = createIdentity({ seed: new Uint8Array(32).fill(9) })
const remote = createIdentity({ seed: new Uint8Array(32).fill(8) }).peerId
const PROMPT = 'PRIVATE PROMPT'
const ANSWER = 'SECRET ANSWER'

/** Blocks 0 to 10 here, the rest at a peer; another peer was asked first. */
const chained: Script = async function* () {
  const here = { peer: signer.peerId, from: 0, to: 10, numericsClass: 'ggml/1 avx2' }
  const there = { peer: remote, from: 10, to: 30, numericsClass: 'ggml/1 avx2' }
  yield {
    type: 'start',
    promptTokens: 7,
    chain: [here, { ...there, peer: 'gone' }],
    relaxed: ['region']
  }
  yield { type: 'text', index: 0, text: ANSWER, tokens: [1, 2] }
  yield { type: 'finish', index: 0, reason: 'stop' }
  yield {
    type: 'usage',
    usage: { promptTokens: 7, completionTokens: 2, cachedTokens: 3 },
    hops: [
      { ...here, computeMs: 1.23456, queueMs: 0, steps: 3 },
      { ...there, computeMs: Number.NaN, queueMs: -1, rttMs: 0.5, steps: 3 }
    ]
  }
}

const setup = (script: Script, components: Partial<ApiComponents> = {}, init: ApiInit = {}) => {
  const clock = createFakeClock({ now: 1_750_000_000_000 })
  const api = createApi(init, { models: [createFakeModel(script)], clock, signer, ...components })
  return { api, clock }
}
const ask = async (api: Api, init: RequestInit = {}): Promise<string> => {
  const response = await api.fetch(chat({ messages: [{ role: 'user', content: PROMPT }] }, init))
  expect(response.status).toBe(200)
  const { id }: { id: string } = await response.json()
  return id
}
const fetched = (api: Api, id: string, init?: RequestInit): Promise<Response> =>
  api.fetch(get(`/v1/kwaai/provenance/${id}`, init))
const recordOf = async (api: Api, id: string): Promise<ProvenanceRecord> => {
  const response = await fetched(api, id)
  expect(response.status).toBe(200)
  return (await verifyProvenance(await response.text(), { signer: signer.did })).record
}

test('tells who computed what, what left the node, and what was given up, signed', async () => {
  const sha256 = 'ab'.repeat(32)
  const { api } = setup(
    chained,
    { meter: { add: () => undefined, receipt: async () => 'receipt-1' } },
    { provenance: { model: (id) => (id === 'fake' ? { sha256 } : undefined) } }
  )
  const id = await ask(api)
  const response = await fetched(api, id)
  const text = await response.text()
  expect(text).not.toMatch(/PRIVATE|SECRET/)
  const document: ProvenanceObject = JSON.parse(text)
  expect(document).toMatchObject({ object: 'kwaai.provenance', id, signer: signer.did })
  const verified = await verifyProvenance(text)
  expect(verified).toEqual({ record: document.record, signer: signer.did })
  expect(verified.record).toEqual({
    v: 1,
    id,
    kind: 'chat',
    model: { id: 'fake', sha256 },
    created: 1_750_000_000,
    outcome: 'completed',
    finishReason: 'stop',
    usage: { promptTokens: 7, completionTokens: 2, cachedTokens: 3 },
    firstTokenMs: 0,
    durationMs: 0,
    hops: [
      {
        peer: signer.peerId,
        from: 0,
        to: 10,
        numericsClass: 'ggml/1 avx2',
        computeMs: 1.235,
        queueMs: 0,
        steps: 3
      },
      { peer: remote, from: 10, to: 30, numericsClass: 'ggml/1 avx2', rttMs: 0.5, steps: 3 }
    ],
    disclosed: [
      { peer: 'gone', from: 10, to: 30, data: 'hidden-states', of: ['prompt', 'answer'] },
      { peer: remote, from: 10, to: 30, data: 'hidden-states', of: ['prompt', 'answer'] }
    ],
    relaxed: ['region'],
    receipt: 'receipt-1'
  })
})

test('the first server of a chain is sent what a table turns back into text, and the record says so', async () => {
  const { api } = setup(say(['a']))
  expect((await recordOf(api, await ask(api))).disclosed).toEqual([
    { peer: 'peer', from: 0, to: 30, data: 'token-embeddings', of: ['prompt', 'answer'] }
  ])
})

const local: Script = async function* () {
  yield { type: 'start', promptTokens: 1, chain: [{ peer: 'local', from: 0, to: 30, numericsClass: '' }] }
  yield { type: 'text', index: 0, text: 'x', tokens: [1] }
  yield { type: 'finish', index: 0, reason: 'stop' }
  yield { type: 'usage', usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } }
}
const untold = failAfter(['x'], new Error('lost'))

test('nothing left the node where all blocks are its own, and what nobody tells is unknown', async () => {
  const { api } = setup(local)
  expect((await recordOf(api, await ask(api))).disclosed).toEqual([])

  const upstream: Script = async function* (request, signal) {
    for await (const event of local(request, signal))
      yield event.type === 'start' ? { ...event, chain: [] } : event
  }
  const other = setup(upstream).api
  expect((await recordOf(other, await ask(other))).disclosed).toBe('unknown')
  const told = setup(upstream, {}, { provenance: { model: () => ({ local: true }) } }).api
  expect((await recordOf(told, await ask(told))).disclosed).toEqual([])
})

test('a stream, an answer that was left, and one that failed have a record; a refused request has none', async () => {
  const { api } = setup(chained)
  const streamed = await (await api.fetch(chat({ stream: true }))).text()
  const id = /"id":"(chatcmpl-\w+)"/.exec(streamed)?.[1] ?? ''
  expect(await recordOf(api, id)).toMatchObject({ id, outcome: 'completed' })

  const reader = (await api.fetch(chat({ stream: true }))).body?.getReader()
  const head = new TextDecoder().decode((await reader?.read())?.value)
  await reader?.cancel()
  await macrotask()
  const left = /"id":"(chatcmpl-\w+)"/.exec(head)?.[1] ?? ''
  expect(await recordOf(api, left)).toMatchObject({
    outcome: 'cancelled',
    disclosed: [{ peer: 'gone', of: ['prompt'] }]
  })

  const broken = setup(untold).api
  const failed = await (await broken.fetch(chat({ stream: true }))).text()
  const lost = /"id":"(chatcmpl-\w+)"/.exec(failed)?.[1] ?? ''
  expect(await recordOf(broken, lost)).toMatchObject({ outcome: 'failed', disclosed: 'unknown' })
  expect((await broken.fetch(chat({ temperature: 9 }))).status).toBe(400)
})

test('only whoever asked is told', async () => {
  const { api } = setup(chained, {}, { caller: ({ headers }) => headers.get('x-user') ?? 'local' })
  const id = await ask(api)
  const foreign = { headers: { 'x-user': 'mallory' } }
  await expectError(await fetched(api, id, foreign), 404, 'provenance_not_found')
  expect((await fetched(api, id)).status).toBe(200)
  await expectError(await fetched(api, 'chatcmpl-none'), 404, 'provenance_not_found')
  await expectError(await fetched(api, '%2e%2e%2fkeys'), 404, 'provenance_not_found')

  const anonymous = setup(chained, {}, { caller: () => undefined }).api
  await expectError(await fetched(anonymous, await ask(anonymous)), 404, 'provenance_not_found')
})

test('without a signer the address says so', async () => {
  const api = createApi({}, { models: [createFakeModel()] })
  await expectError(await fetched(api, await ask(api)), 404, 'provenance_not_available')
})

test('what is kept outlives the process, for its time and within its number', async () => {
  const store = createMemoryStore()
  const before = setup(chained, { store }).api
  const id = await ask(before)
  const after = setup(chained, { store }, { provenance: { maxPerCaller: 2, ttlMs: 1000 } })
  expect(await recordOf(after.api, id)).toMatchObject({ id })
  const ids = [await ask(after.api), await ask(after.api)]
  await expectError(await fetched(after.api, id), 404, 'provenance_not_found')
  for (const kept of ids) expect((await fetched(after.api, kept)).status).toBe(200)
  await after.clock.advance(1000)
  await expectError(await fetched(after.api, ids[1] ?? ''), 404, 'provenance_not_found')
  for (const provenance of [{ ttlMs: 0 }, { maxBytes: Number.NaN }, { maxPerCaller: -1 }])
    expect(() => setup(chained, {}, { provenance })).toThrow(/positive/)
})

test('names that peers chose can neither break a record nor keep it from being kept', async () => {
  for (const evil of ['\ud800', '\u0001', '"', '\\', '\u6a21', '\u202e']) {
    const chain = Array.from({ length: 300 }, (_, n) => ({
      peer: `${n}${evil.repeat(1000)}`,
      from: 1_000_000 + n,
      to: 1_000_001 + n,
      numericsClass: evil.repeat(1000)
    }))
    const odd: Script = async function* (request, signal) {
      for await (const event of local(request, signal))
        if (event.type === 'start') yield { ...event, chain }
        else if (event.type === 'usage')
          yield {
            ...event,
            hops: chain.map((hop) => ({ ...hop, peer: `x${hop.peer}`, computeMs: 1e300, steps: 1e15 }))
          }
        else yield event
    }
    const { api } = setup(odd)
    const { disclosed, hops } = await recordOf(api, await ask(api))
    expect([disclosed.length, hops?.length]).toEqual([256, 128])
    expect(JSON.stringify([disclosed, hops])).toMatch(/^[\x20-\x7e]+$/)
  }
})

test('vectors have a record too, under the id in their header', async () => {
  const embedder = createFakeEmbedder()
  const api = createApi(
    { provenance: { model: () => ({ local: true }) } },
    { models: [], embedders: [embedder], signer }
  )
  const response = await api.fetch(
    get('/v1/embeddings', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fake-embedder', input: PROMPT })
    })
  )
  expect(response.status).toBe(200)
  const id = response.headers.get('x-kwaai-answer') ?? ''
  expect(await recordOf(api, id)).toMatchObject({
    id,
    kind: 'embedding',
    disclosed: [],
    usage: { promptTokens: 14 }
  })
})

test('an answer of /v1/responses and a completion have records under their own ids', async () => {
  const { api } = setup(chained)
  const responded = await api.fetch(
    get('/v1/responses', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fake', input: PROMPT })
    })
  )
  const { id }: { id: string } = await responded.json()
  expect(await recordOf(api, id)).toMatchObject({ id, kind: 'response' })
  const completed = await api.fetch(
    get('/v1/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fake', prompt: PROMPT })
    })
  )
  const completion: { id: string } = await completed.json()
  expect(await recordOf(api, completion.id)).toMatchObject({ id: completion.id, kind: 'completion' })
})

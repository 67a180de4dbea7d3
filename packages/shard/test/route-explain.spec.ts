/** What a model over a chain tells of its servers: who would compute, who holds what, who computed; and how it ends. */
import type { HeadRunner } from '@kwaai/interface'
import { createSeededRandom, macrotask } from '@kwaai/testing'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTextModel, createTokenizer, type TextModel } from '../src/generate/index.ts'
import { bytesSource, readGguf } from '../src/gguf/index.ts'
import { createGrammarEngine } from '../src/grammar/index.ts'
import { coverageOf } from '../src/route/coverage.ts'
import type { Advert, ChainSource } from '../src/route/index.ts'
import { createRouteStage, type RouteStage } from './route-kit.ts'
import { fakeShape, hiddenSize, numericsClass, rowsOf } from './session-kit.ts'
import { answersOf } from './text-model-kit.ts'
import { toyModel } from './toy-model.ts'

const tokenizer = createTokenizer(await readGguf(bytesSource(toyModel())))
const [letter] = tokenizer.encode('a') as [number]
const head: HeadRunner = {
  shape: { ...fakeShape(6), vocabularySize: tokenizer.vocabularySize },
  embed: async (ids) => {
    const rows = new Float32Array(ids.length * hiddenSize)
    for (const [i, id] of [...ids].entries()) rows.set(rowsOf(1, id), i * hiddenSize)
    return rows
  },
  logits: async () => {
    const logits = new Float32Array(tokenizer.vocabularySize)
    logits[letter] = 1
    return logits
  },
  [Symbol.asyncDispose]: async () => undefined
}

let stage: RouteStage
let source: ChainSource
let model: TextModel
beforeEach(async () => {
  stage = await createRouteStage()
  source = stage.sourceOf()
  const { clock } = stage
  model = createTextModel(
    { id: 'toy', answerTokens: 64 },
    {
      tokenizer,
      template: undefined,
      head,
      blocks: source,
      clock,
      random: createSeededRandom(1),
      grammar: createGrammarEngine()
    }
  )
})
afterEach(async () => {
  await model[Symbol.asyncDispose]()
  await stage.stop()
})

test('a model tells who would compute, and of all others why not', async () => {
  const first = await stage.serve(1, 0, 3, { region: 'eu' })
  const second = await stage.serve(2, 3, 6, { region: 'eu' })
  const whole = await stage.serve(3, 0, 6, { region: 'us' })
  const free = await model.explain?.()
  expect(free?.chain).toEqual([{ peer: whole.peer, from: 0, to: 6, numericsClass }])
  expect(free?.candidates.find(({ peer }) => peer === first.peer)).toEqual({
    peer: first.peer,
    from: 0,
    to: 3,
    numericsClass,
    chosen: false,
    reason: 'Another server holds the whole model',
    failed: []
  })
  const bound = await model.explain?.({ region: 'eu' })
  expect(bound?.chain.map(({ peer }) => peer)).toEqual([first.peer, second.peer])
  expect(bound?.candidates.find(({ peer }) => peer === whole.peer)).toMatchObject({
    chosen: false,
    reason: 'Its region is us, and only eu is allowed',
    failed: ['region']
  })
  expect(bound?.candidates.filter(({ chosen }) => chosen).map(({ reason }) => reason)).toEqual(['', ''])
  const none = await model.explain?.({ region: 'ch' })
  expect(none).toMatchObject({
    chain: [],
    problem: expect.stringContaining('no chain meets the constraints')
  })
  const relaxed = await model.explain?.({ region: 'ch', relax: ['region'] })
  expect(relaxed).toMatchObject({ relaxed: ['region'], chain: [{ peer: whole.peer }] })
})

test('a constraint that makes no sense is refused, and a signal ends the question', async () => {
  await expect(model.explain?.({ minScore: 7 })).rejects.toMatchObject({
    code: 'ERR_MODEL_INVALID_REQUEST',
    details: { param: 'route' }
  })
  const reason = new Error('gone')
  await expect(model.explain?.({}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})

test('a description says how many servers hold each block', async () => {
  await source.start()
  expect((await model.describe()).coverage).toEqual([{ from: 0, to: 6, servers: 0 }])
  await stage.serve(1, 0, 3)
  await stage.serve(2, 2, 5)
  await macrotask()
  expect((await model.describe()).coverage).toEqual([
    { from: 0, to: 2, servers: 1 },
    { from: 2, to: 3, servers: 2 },
    { from: 3, to: 5, servers: 1 },
    { from: 5, to: 6, servers: 0 }
  ])
})

test('coverage counts each block’s servers', () => {
  const span = fc.tuple(fc.nat(11), fc.integer({ min: 1, max: 12 }), fc.nat(3)).filter(([a, b]) => a < b)
  fc.assert(
    fc.property(fc.array(span, { maxLength: 12 }), (spans) => {
      const adverts = spans.map(
        ([from, to, peer]) => ({ from, to, peer: `p${peer}`, blockCount: 12 }) as Advert
      )
      const ranges = coverageOf([...adverts, { from: 0, to: 9, peer: 'x', blockCount: 9 } as Advert], 12)
      expect(ranges.map(({ from }) => from)).toEqual([0, ...ranges.slice(0, -1).map(({ to }) => to)])
      expect(ranges.at(-1)?.to).toBe(12)
      for (const [i, { from, to, servers }] of ranges.entries()) {
        expect(servers).not.toBe(ranges[i - 1]?.servers)
        for (let block = from; block < to; block++) {
          const holders = adverts.filter((advert) => advert.from <= block && block < advert.to)
          expect(new Set(holders.map(({ peer }) => peer)).size).toBe(servers)
        }
      }
    })
  )
})

test('an answer ends with an account of every server that computed for it', async () => {
  const first = await stage.serve(1, 0, 3)
  const second = await stage.serve(2, 3, 6)
  await source.start()
  await macrotask()
  const ask = { prompt: 'x'.repeat(20), maxTokens: 3, temperature: 0, caller: 'ada' }
  for (const steps of [3, 3]) {
    // The second time in the session that was kept: only its own steps count.
    const { hops } = await answersOf(model.complete(ask))
    expect(hops).toEqual([
      {
        peer: first.peer,
        from: 0,
        to: 3,
        numericsClass,
        steps,
        computeMs: expect.any(Number),
        queueMs: expect.any(Number),
        rttMs: expect.any(Number)
      },
      {
        peer: second.peer,
        from: 3,
        to: 6,
        numericsClass,
        steps,
        computeMs: expect.any(Number),
        queueMs: expect.any(Number),
        rttMs: expect.any(Number)
      }
    ])
  }
})

test('a server that took the place of another is told with it', async () => {
  const first = await stage.serve(1, 0, 3)
  const lost = await stage.serve(2, 3, 6)
  await source.start()
  await macrotask()
  const seen: number[] = []
  const events = model.complete({ prompt: 'x'.repeat(20), maxTokens: 6, temperature: 0 })
  let hops: readonly { peer: string; steps?: number }[] | undefined
  let spare: Awaited<ReturnType<RouteStage['serve']>> | undefined
  for await (const event of events) {
    if (event.type === 'text') seen.push(...event.tokens)
    if (event.type === 'text' && seen.length === 2) {
      spare = await stage.serve(4, 3, 6)
      await macrotask()
      await lost.server.stop()
      await lost.withdraw()
    }
    if (event.type === 'usage') ({ hops } = event)
  }
  expect(seen).toHaveLength(6)
  expect(hops?.map(({ peer, steps }) => [peer, steps])).toEqual([
    [first.peer, expect.any(Number)],
    [spare?.peer, expect.any(Number)],
    [lost.peer, expect.any(Number)]
  ])
})

test('an abort ends several answers under a grammar at every server within a second', async () => {
  const servers = [await stage.serve(1, 0, 3), await stage.serve(2, 3, 6)]
  await source.start()
  await macrotask()
  const schema = { type: 'array', items: { type: 'string', maxLength: 400 }, minItems: 3, maxItems: 9 }
  let most = 0
  for (const after of [0, 1, 5, 40]) {
    const controller = new AbortController()
    const reason = new Error('gone')
    const asked = {
      prompt: 'xyz',
      n: 4,
      maxTokens: 400,
      constraint: { type: 'json-schema', schema } as const
    }
    let seen = 0
    const run = (async () => {
      for await (const event of model.complete(asked, { signal: controller.signal })) {
        most = Math.max(most, ...servers.map(({ server }) => server.stats().sessions))
        if (event.type === 'text' && ++seen > after) controller.abort(reason)
      }
    })()
    await expect(run).rejects.toBe(reason)
    await stage.clock.advance(1_000)
    for (const { server } of servers) {
      const { sessions, kvBytes } = server.stats()
      expect([sessions, kvBytes]).toEqual([0, 0])
    }
  }
  expect(most).toBe(4)
  // All places are free again.
  const { answers } = await answersOf(model.complete({ prompt: 'xyz', n: 4, maxTokens: 3, temperature: 0 }))
  expect(answers).toHaveLength(4)
})

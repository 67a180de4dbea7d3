import type { RouteConstraints, TrustAssessment, TrustView } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { macrotask } from '@kwaai/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  advertKey,
  decodeAdvert,
  encodeAdvert,
  type ChainSource,
  type RoutedChain
} from '../src/route/index.ts'
import { createRouteStage, type RouteStage, type Served } from './route-kit.ts'
import { alone, codeOf, modelHash, numericsClass, rowsOf } from './session-kit.ts'

let stage: RouteStage
beforeEach(async () => {
  stage = await createRouteStage()
})
afterEach(() => stage.stop())

/** Runs a prompt and a token through a chain. */
const generate = async (chain: RoutedChain): Promise<void> => {
  await chain.forward({ past: 0, hidden: rowsOf(3, 1), kernel: 'vec', result: 'last' })
  await chain.forward({ past: 3, hidden: rowsOf(1, 2), kernel: 'vec', result: 'all' })
  await chain[Symbol.asyncDispose]()
}
const rowsAt = (servers: readonly Served[]): number[] => servers.map(({ runner }) => runner.rows)

/** What an opening that fails says, and that it failed without any wait. */
const refusal = async (source: ChainSource, constraints: RouteConstraints): Promise<KwaaiError> => {
  const before = stage.clock.monotonic()
  const error = await source.open({ maxTokens: 16, constraints }).catch((reason: unknown) => reason)
  expect(stage.clock.monotonic()).toBe(before)
  if (!KwaaiError.is(error)) throw new Error(`No refusal: ${String(error)}`)
  expect(error.code).toBe('ERR_MODEL_UNAVAILABLE')
  return error
}
const reasonsOf = (error: KwaaiError): Record<string, string> =>
  Object.fromEntries(
    (error.details['reasons'] as { peer: string; reason: string }[]).map(({ peer, reason }) => [peer, reason])
  )

/** Judges by a table; others are not judged in time, or ever. */
const trustOf = (
  table: Readonly<Record<string, Partial<TrustAssessment> | 'silent' | 'broken'>>
): TrustView & { asked: string[] } => {
  const asked: string[] = []
  return {
    specification: 'kwaai.trust-view/1',
    asked,
    async assess(did, context) {
      asked.push(`${did} ${context}`)
      const found = table[did]
      if (found === 'silent') return new Promise(() => undefined)
      if (found === 'broken' || found === undefined) throw new Error('The judge knows nothing')
      return { score: 0.9, lowerBound: 0.5, uncertainty: 0.4, tier: 'known', reasons: [], ...found }
    }
  }
}

/** An advert says what a test wants, whatever the server is. */
const tell = async (
  served: Served,
  more: { price?: number; tokensPerSecond?: number; numericsClass?: string }
): Promise<void> => {
  const store = stage.board.store(served.did)
  const key = advertKey(modelHash)
  for (const record of await store.get(key)) {
    if (record.signer !== served.did) continue
    const value = encodeAdvert({ ...decodeAdvert(record.value), ...more })
    await store.put({ key, subkey: record.subkey, value })
  }
}

describe('a request with constraints', () => {
  test('that only some servers meet is computed by those alone', async () => {
    const eu = [
      await stage.serve(1, 0, 3, { region: 'eu', refreshMs: 1e6 }),
      await stage.serve(2, 3, 6, { region: 'eu', refreshMs: 1e6 })
    ]
    const others = [
      await stage.serve(3, 0, 6, { region: 'us', refreshMs: 1e6 }),
      await stage.serve(4, 0, 3, { refreshMs: 1e6 }),
      await stage.serve(5, 3, 6, { region: 'ch', refreshMs: 1e6 })
    ]
    const source = stage.sourceOf()
    await generate(await source.open({ maxTokens: 16, constraints: { region: 'eu' } }))
    expect(rowsAt(eu)).toEqual([4, 4])
    expect(rowsAt(others)).toEqual([0, 0, 0])
    // The same servers without the constraint: a whole one goes first.
    await generate(await source.open({ maxTokens: 16 }))
    expect(rowsAt([...eu, ...others])).toEqual([4, 4, 4, 0, 0])
    const mixed = await source.open({
      maxTokens: 16,
      constraints: { region: ['eu', 'ch'], denyPeers: [eu[1]?.peer as string] }
    })
    await generate(mixed)
    expect(rowsAt([...eu, ...others])).toEqual([8, 4, 4, 0, 4])
  })

  test('that nobody meets fails at once, with the reason for each candidate', async () => {
    const [us, none, priced] = [
      await stage.serve(1, 0, 6, { region: 'us', refreshMs: 1e6 }),
      await stage.serve(2, 0, 6, { refreshMs: 1e6 }),
      await stage.serve(3, 0, 6, { region: 'eu', refreshMs: 1e6 })
    ]
    await tell(priced, { price: 3, numericsClass: 'other/2' })
    const source = stage.sourceOf()
    await source.start()
    await macrotask()
    const { reads } = stage.board
    const error = await refusal(source, { region: 'eu', maxPrice: 2, numericsClass })
    expect(error.message).toBe(
      'Cannot open the session: no chain meets the constraints: the chain has no server for blocks 0 to 5; ' +
        `one of blocks 0 to 5 is left out: ${Object.values(reasonsOf(error))[0]}`
    )
    expect(reasonsOf(error)).toEqual({
      [us.peer]: 'Its region is us, and only eu is allowed',
      [none.peer]: 'It names no region, and only eu is allowed',
      [priced.peer]:
        'It computes in the class other/2, and only fake/1 is allowed. ' +
        'It costs 3 credits a token, and at most 2 are allowed'
    })
    expect(error.details['unmet']).toEqual(['numericsClass', 'region', 'maxPrice'])
    expect(error.details['retryAfterMs']).toBeUndefined()
    // One look, and not another one for those who ask again.
    for (let i = 0; i < 5; i++) await refusal(source, { region: 'eu', maxPrice: 2 })
    expect(stage.board.reads).toBe(reads + 1)
    expect(rowsAt([us, none, priced])).toEqual([0, 0, 0])
    expect(stage.outcomes).toEqual([])
  })

  test('that somebody meets who is left out for a moment says when to come again', async () => {
    const only = await stage.serve(1, 0, 6, { region: 'eu', refreshMs: 1e6 })
    await stage.serve(2, 0, 6, { region: 'us', refreshMs: 1e6 })
    const source = stage.sourceOf({ maxWaitMs: 0 })
    stage.hub.kill(only.peer)
    const error = await refusal(source, { region: 'eu' })
    expect(error.details['unmet']).toBeUndefined()
    expect(error.details['retryAfterMs']).toBeGreaterThanOrEqual(2000)
    expect(reasonsOf(error)[only.peer]).toMatch(/^It is left out for \d s more: ERR_SHARD_HOP_FAILED/)
  })

  test('holds a chain to the time of a token, by what was measured', async () => {
    stage.faults.settings.latencyMs = 10
    const [first, second] = [
      await stage.serve(1, 0, 3, { refreshMs: 1e6 }),
      await stage.serve(2, 3, 6, { refreshMs: 1e6 })
    ]
    for (const served of [first, second]) await tell(served, { tokensPerSecond: 100 })
    const source = stage.sourceOf({ topology: 'star' })
    const starting = source.start()
    await stage.clock.advance(1000)
    await starting
    const rtt = stage.client.connection(first.peer)?.rttMs ?? NaN
    expect(rtt).toBeGreaterThanOrEqual(20)
    const latencyMs = source.plan().latencyMs ?? NaN
    expect(latencyMs).toBeCloseTo(20 + rtt + (stage.client.connection(second.peer)?.rttMs ?? NaN))
    expect(source.plan({ constraints: { maxLatencyMs: latencyMs } }).plan).toBeDefined()
    const tooSlow = await refusal(source, { maxLatencyMs: 45 })
    expect(tooSlow.message).toMatch(
      /^Cannot open the session: no chain meets the constraints: the quickest chain takes \d+(\.\d)? ms a token, and at most 45 are allowed$/
    )
    const alone = await refusal(source, { maxLatencyMs: 25, maxRttMs: 15 })
    expect(reasonsOf(alone)[first.peer]).toBe(
      `Its round trip is ${rtt} ms, and at most 15 ms are allowed. ` +
        `A token takes ${10 + rtt} ms at it alone, and at most 25 are allowed`
    )
    await tell(second, { tokensPerSecond: 0 })
    await macrotask()
    expect(reasonsOf(await refusal(source, { maxLatencyMs: 1000 }))[second.peer]).toBe(
      'How fast it is has not been measured, and a token may take 1000 ms at most'
    )
  })

  test('measures round trips that it needs, and waits a second at most', async () => {
    const [near, silent] = [
      await stage.serve(1, 0, 6, { refreshMs: 1e6 }),
      await stage.serve(2, 0, 6, { refreshMs: 1e6 })
    ]
    stage.faults.stall(silent.peer)
    const source = stage.sourceOf()
    const opening = source.open({ maxTokens: 16, constraints: { maxRttMs: 50 } })
    await stage.clock.advance(1000)
    expect((await opening).chain.map(({ peer }) => peer)).toEqual([near.peer])
    const verdict = source
      .plan({ constraints: { maxRttMs: 50 } })
      .explain.find(({ advert }) => advert.peer === silent.peer)
    expect(verdict?.reason).toBe('Its round trip is not known, and at most 50 ms are allowed')
    // Nothing of it was its fault.
    expect(stage.outcomes).toEqual([])
    await (await opening)[Symbol.asyncDispose]()
  })

  test('gives no part of a model to a server that is far', async () => {
    stage.faults.settings.latencyMs = 80
    const starting = [stage.serve(1, 0, 3, { refreshMs: 1e6 }), stage.serve(2, 3, 6, { refreshMs: 1e6 })]
    await stage.clock.advance(1000)
    const parts = await Promise.all(starting)
    const source = stage.sourceOf({ openTimeoutMs: 10_000 })
    await source.start()
    await stage.clock.advance(1000)
    const rtt = stage.client.connection(parts[0]?.peer as string)?.rttMs
    expect(rtt).toBeGreaterThan(150)
    expect(source.plan().explain[0]?.reason).toBe(
      `Its round trip is ${rtt} ms, and above 150 ms no server gets a part of a model`
    )
    const whole = await stage.serve(3, 0, 6, { refreshMs: 1e6 })
    await stage.clock.advance(1000)
    expect(source.plan().plan?.hops.map(({ peer }) => peer)).toEqual([whole.peer])
    expect(stage.sourceOf({ maxSplitRttMs: Infinity }).plan().problem).toBe(
      'the chain has no server for blocks 0 to 5'
    )
  })

  test.each<[string, RouteConstraints]>([
    ['a number that is none', { maxRttMs: NaN }],
    ['a negative price', { maxPrice: -1 }],
    ['a tier nobody knows', { minTier: 'best' as 'known' }],
    ['a region that is no text', { region: [1] as unknown as string[] }],
    ['denied peers to be let in', { denyPeers: ['a'], relax: ['denyPeers' as 'region'] }],
    ['a constraint nobody knows', { relax: ['speed' as 'region'] }]
  ])('that makes no sense is refused: %s', async (_, constraints) => {
    const source = stage.sourceOf()
    expect(await codeOf(source.open({ maxTokens: 1, constraints }))).toBe('ERR_SHARD_INVALID_INIT')
    expect(() => stage.sourceOf({ constraints })).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_INIT' })
    )
  })
})

describe('trust', () => {
  test('is asked of the judge, and compared with what holds in the worst case', async () => {
    const servers = [
      await stage.serve(1, 0, 6, { refreshMs: 1e6 }),
      await stage.serve(2, 0, 6, { refreshMs: 1e6 }),
      await stage.serve(3, 0, 6, { refreshMs: 1e6 }),
      await stage.serve(4, 0, 6, { refreshMs: 1e6 }),
      await stage.serve(5, 0, 6, { refreshMs: 1e6 })
    ]
    const [good, doubtful, silent, unknown, senseless] = servers as [Served, Served, Served, Served, Served]
    const trust = trustOf({
      [good.did]: { score: 0.6, lowerBound: 0.55, tier: 'verified' },
      [doubtful.did]: { score: 0.99, lowerBound: 0.2, tier: 'known' },
      [silent.did]: 'silent',
      [senseless.did]: { lowerBound: NaN, tier: 'trusted' }
    })
    const source = stage.sourceOf({}, { trust })
    const opening = source.open({ maxTokens: 16, constraints: { minScore: 0.5, minTier: 'verified' } })
    await stage.clock.advance(1000)
    await generate(await opening)
    expect(rowsAt(servers)).toEqual([4, 0, 0, 0, 0])
    expect(new Set(trust.asked)).toEqual(new Set(servers.map(({ did }) => `${did} shard/forward`)))
    const { explain } = source.plan({ constraints: { minScore: 0.5 } })
    expect(Object.fromEntries(explain.map(({ advert, reason }) => [advert.peer, reason]))).toEqual({
      [good.peer]: 'It is part of the cheapest chain',
      [doubtful.peer]: 'Its trust is at least 0.2, and 0.5 is asked for',
      [silent.peer]: 'How far it is trusted cannot be told: there was no answer within 1000 ms',
      [unknown.peer]: 'How far it is trusted cannot be told: the judge failed',
      [senseless.peer]: 'How far it is trusted cannot be told: the judgement makes no sense'
    })
    const tiers = source.plan({ constraints: { minTier: 'trusted' } }).explain
    expect(tiers.find(({ advert }) => advert.peer === good.peer)?.reason).toBe(
      'Its tier is verified, and at least trusted is asked for'
    )
  })

  test('is not given where nobody judges, nor where a judgement is old', async () => {
    const served = await stage.serve(1, 0, 6, { refreshMs: 1e6 })
    const error = await refusal(stage.sourceOf(), { minTier: 'unknown' })
    expect(reasonsOf(error)[served.peer]).toBe('How far it is trusted cannot be told: nobody has judged it')
    const source = stage.sourceOf({}, { trust: trustOf({ [served.did]: {} }) })
    await generate(await source.open({ maxTokens: 16, constraints: { minTier: 'known' } }))
    expect(source.plan({ constraints: { minTier: 'known' } }).plan).toBeDefined()
    await stage.clock.advance(60_000)
    expect(source.plan({ constraints: { minTier: 'known' } }).plan).toBeUndefined()
  })

  test('asks the judge about nobody who falls anyway', async () => {
    const served = await stage.serve(1, 0, 6, { region: 'us', refreshMs: 1e6 })
    const trust = trustOf({ [served.did]: 'silent' })
    await refusal(stage.sourceOf({}, { trust }), { region: 'eu', minScore: 0.1 })
    expect(trust.asked).toEqual([])
  })
})

describe('what may be given up', () => {
  test('is given up in its order, told with the chain, and nothing else is', async () => {
    const [us, denied] = [
      await stage.serve(1, 0, 6, { region: 'us', refreshMs: 1e6 }),
      await stage.serve(2, 0, 6, { region: 'eu', refreshMs: 1e6 })
    ]
    const source = stage.sourceOf({ constraints: { denyPeers: [denied.peer] } })
    const hard: RouteConstraints = { region: 'eu', maxPrice: 0, numericsClass: 'other/2' }
    expect((await refusal(source, hard)).details['unmet']).toEqual(['denyPeers', 'numericsClass', 'region'])
    await refusal(source, { ...hard, relax: ['region', 'maxPrice'] })
    const chain = await source.open({
      maxTokens: 16,
      constraints: { ...hard, relax: ['numericsClass', 'region', 'maxPrice'] }
    })
    expect(chain.relaxed).toEqual(['numericsClass', 'region'])
    await generate(chain)
    expect(rowsAt([us, denied])).toEqual([4, 0])
  })

  test('of the source is what a request does not name', async () => {
    await stage.serve(1, 0, 6, { region: 'us', refreshMs: 1e6 })
    const source = stage.sourceOf({ constraints: { region: 'eu' } })
    await refusal(source, {})
    expect(source.ready()).toBe(false)
    const chain = await source.open({ maxTokens: 16, constraints: { region: 'us' } })
    expect(chain.relaxed).toEqual([])
    await chain[Symbol.asyncDispose]()
  })
})

describe('a session that loses a server', () => {
  test('goes on, with the bits of an undisturbed run, at a server that meets its constraints', async () => {
    const servers = [
      await stage.serve(1, 0, 3, { region: 'eu', refreshMs: 1e6 }),
      await stage.serve(2, 3, 6, { region: 'eu', refreshMs: 1e6 }),
      await stage.serve(3, 3, 6, { region: 'eu', refreshMs: 1e6 }),
      await stage.serve(4, 3, 6, { region: 'us', refreshMs: 1e6 })
    ]
    await tell(servers[3] as Served, { tokensPerSecond: 900 })
    const source = stage.sourceOf()
    await source.start()
    await macrotask()
    const chain = await source.open({ maxTokens: 16, constraints: { region: 'eu' } })
    const steps = [3, 1, 1].map((rows, index) => ({
      past: index === 0 ? 0 : 2 + index,
      hidden: rowsOf(rows, index),
      kernel: 'vec' as const
    }))
    const expected = await alone(6, steps)
    const [first, ...others] = steps
    expect(await chain.forward({ ...first!, result: 'all' })).toEqual(expected[0])
    const lost = servers.find(({ peer }) => peer === chain.chain[1]?.peer)
    const twin = servers.slice(1, 3).find((served) => served !== lost)
    stage.hub.kill(lost?.peer as string)
    for (const [index, step] of others.entries()) {
      expect(await chain.forward({ ...step, result: 'all' })).toEqual(expected[index + 1])
    }
    expect(chain.chain.map(({ peer }) => peer)).toEqual([servers[0]?.peer, twin?.peer])
    expect(twin?.runner.rows).toBe(5)
    expect(servers[3]?.runner.rows).toBe(0)
    await chain[Symbol.asyncDispose]()
    expect(stage.outcomes.map(({ subject, kind }) => [subject, kind])).toEqual([
      [lost?.did, 'failure'],
      [servers[0]?.did, 'success'],
      [twin?.did, 'success']
    ])
  })
})

describe('a peer that failed', () => {
  test('is tried again by one request alone, until that one has its first result', async () => {
    const [flaky, steady] = [
      await stage.serve(1, 0, 6, { region: 'eu', refreshMs: 1e6 }),
      await stage.serve(2, 0, 6, { region: 'us', refreshMs: 1e6 })
    ]
    await tell(flaky, { tokensPerSecond: 900 })
    await tell(steady, { tokensPerSecond: 100 })
    const source = stage.sourceOf({ openTimeoutMs: 500 })
    await source.start()
    await macrotask()
    stage.faults.stall(flaky.peer)
    const hung = source.open({ maxTokens: 16 })
    await stage.clock.advance(500)
    expect((await hung).chain[0]?.peer).toBe(steady.peer)
    stage.faults.resume(flaky.peer)
    await stage.clock.advance(3000)

    // Eight ask at the same moment.
    const chains = await Promise.all(Array.from({ length: 8 }, () => source.open({ maxTokens: 16 })))
    const peers = chains.map(({ chain }) => chain[0]?.peer)
    expect(peers.filter((peer) => peer === flaky.peer)).toHaveLength(1)
    expect(flaky.server.stats().sessions).toBe(1)
    const later = await source.open({ maxTokens: 16 })
    expect(later.chain[0]?.peer).toBe(steady.peer)
    const reason = source.plan().explain.find(({ advert }) => advert.peer === flaky.peer)?.reason
    expect(reason).toMatch(/^Another request tries it again now: ERR_SHARD_HOP_FAILED/)

    const probe = chains[peers.indexOf(flaky.peer)] as RoutedChain
    await probe.forward({ past: 0, hidden: rowsOf(1, 1), kernel: 'vec', result: 'all' })
    const [a, b] = await Promise.all([source.open({ maxTokens: 16 }), source.open({ maxTokens: 16 })])
    expect([a.chain[0]?.peer, b.chain[0]?.peer]).toEqual([flaky.peer, flaky.peer])
    for (const chain of [await hung, ...chains, later, a, b]) await chain[Symbol.asyncDispose]()
  })

  test('is given back by a probe that ends without a result', async () => {
    const served = await stage.serve(1, 0, 6, { refreshMs: 1e6 })
    const source = stage.sourceOf({ maxWaitMs: 0 })
    stage.faults.stall(served.peer)
    const hung = codeOf(source.open({ maxTokens: 16 }))
    await stage.clock.advance(100)
    expect(await hung).toBe('ERR_MODEL_UNAVAILABLE')
    stage.faults.resume(served.peer)
    await stage.clock.advance(3000)
    const unused = await source.open({ maxTokens: 16 })
    expect(source.ready()).toBe(false)
    await unused[Symbol.asyncDispose]()
    expect(source.ready()).toBe(true)
    const aborting = new AbortController()
    stage.faults.stall(served.peer)
    const aborted = codeOf(source.open({ maxTokens: 16 }, { signal: aborting.signal }))
    await macrotask()
    expect(source.ready()).toBe(false)
    aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
    expect(await aborted).toBe('ERR_TEST')
    expect(source.ready()).toBe(true)
  })
})

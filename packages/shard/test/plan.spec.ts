import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeAdvert, encodeAdvert, planChain, type Advert, type PlanInit } from '../src/route/index.ts'
import vectors from './vectors/adverts.json' with { type: 'json' }

const modelHash = 'ab'.repeat(32)
const advertOf = (peer: string, from: number, to: number, more: Partial<Advert> = {}): Advert => ({
  peer,
  from,
  to,
  blockCount: 30,
  numericsClass: 'ggml/1 avx512',
  maxTokens: 8192,
  freeTokens: 100_000,
  tokensPerSecond: 300,
  queuedSteps: 0,
  price: 0,
  ...more
})
const plan = (adverts: Advert[], init: Partial<PlanInit> = {}): ReturnType<typeof planChain> =>
  planChain(adverts, { modelHash, blockCount: 30, ...init })
const peersOf = (planning: ReturnType<typeof planChain>): string | undefined =>
  planning.plan?.hops.map((hop) => hop.peer).join(' ')

describe('an advert', () => {
  const sample = advertOf('12D3KooWA', 10, 20, { region: 'eu', tokensPerSecond: 123.5 })

  test('is canonical JSON, as in the vector', () => {
    expect(new TextDecoder().decode(encodeAdvert(sample))).toBe(vectors['ten blocks'])
    expect(decodeAdvert(encodeAdvert(sample))).toEqual(sample)
  })

  test('tells the way to the next servers, in a field that older readers leave out', () => {
    const told = { ...sample, nextMs: { '12D3KooWC': 20, '12D3KooWB': 0.5 } }
    expect(new TextDecoder().decode(encodeAdvert(told))).toBe(vectors['ten blocks and the way on'])
    expect(decodeAdvert(encodeAdvert(told))).toEqual(told)
  })

  const decode = (text: string): Advert => decodeAdvert(new TextEncoder().encode(text))
  test('of a later version is read as far as it is known, and refused when it says so', () => {
    const value = JSON.parse(vectors['ten blocks']) as object
    expect(decode(JSON.stringify({ ...value, standby: true }))).toEqual(sample)
    expect(() => decode(JSON.stringify({ ...value, v: 2 }))).toThrow(/version/)
  })

  test.each([
    ['', 'JSON'],
    ['[]', 'object'],
    ['null', 'object'],
    ['{"v":1}', 'blockCount'],
    [vectors['ten blocks'].replace('"from":10', '"from":20'), 'range'],
    [vectors['ten blocks'].replace('"from":10', '"from":-1'), 'from'],
    [vectors['ten blocks'].replace('"to":20', '"to":31'), 'to'],
    [vectors['ten blocks'].replace('"to":20', '"to":1e400'), 'to'],
    [vectors['ten blocks'].replace('"from":10', '"from":"10"'), 'from'],
    [vectors['ten blocks'].replace('12D3KooWA', ''), 'peer'],
    [vectors['ten blocks'].replace('12D3KooWA', 'x'.repeat(257)), 'peer'],
    [vectors['ten blocks'].replace('12D3KooWA', '\\ud800'), 'peer'],
    [vectors['ten blocks'] + ' '.repeat(4096), 'bytes'],
    [vectors['ten blocks and the way on'].replace('0.5', '-1'), 'nextMs'],
    [vectors['ten blocks and the way on'].replace('0.5', '60001'), 'nextMs'],
    [vectors['ten blocks and the way on'].replace('12D3KooWB', ''), 'nextMs'],
    [vectors['ten blocks'].replace('"price"', '"nextMs":[],"price"'), 'nextMs'],
    [
      vectors['ten blocks'].replace(
        '"price"',
        `"nextMs":${JSON.stringify(Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`p${i}`, 1])))},"price"`
      ),
      'nextMs'
    ]
  ])('%s is refused', (text, why) => {
    expect(() => decode(text)).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_ADVERT', message: expect.stringContaining(why) })
    )
  })

  test('of noise is refused with a typed error', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(() => decode(text)).toThrow(expect.objectContaining({ code: 'ERR_SHARD_INVALID_ADVERT' }))
      }),
      { numRuns: 500, seed: 1 }
    )
  })
})

describe('a plan', () => {
  const three = [advertOf('a', 0, 10), advertOf('b', 10, 20), advertOf('c', 20, 30)]

  test('covers all blocks in order', () => {
    const planning = plan(three.toReversed())
    expect(planning.plan).toEqual({
      modelHash,
      blockCount: 30,
      hops: three.map(({ peer, from, to, numericsClass }) => ({ peer, from, to, numericsClass }))
    })
    expect(planning.explain.map((verdict) => verdict.chosen)).toEqual([true, true, true])
  })

  test('never overlaps', () => {
    const planning = plan([advertOf('a', 0, 18), advertOf('b', 12, 30)])
    expect(planning.plan).toBeUndefined()
    expect(planning.problem).toBe(
      'the servers overlap: each block has one, but none begins at block 18, where the others end'
    )
    expect(planning.explain.map((verdict) => verdict.reason)).toEqual([
      'No servers after it begin at block 18',
      'No servers before it end at block 12'
    ])
  })

  test('says which blocks nobody serves', () => {
    expect(plan([advertOf('a', 0, 12), advertOf('c', 18, 30)]).problem).toBe(
      'the chain has no server for blocks 12 to 17'
    )
    expect(plan([advertOf('a', 1, 12), advertOf('c', 18, 29)]).problem).toBe(
      'the chain has no server for block 0 and blocks 12 to 17 and block 29'
    )
    expect(plan([]).problem).toBe('the chain has no server for blocks 0 to 29')
  })

  test('takes a server of the whole model before any chain, unless asked', () => {
    const whole = advertOf('w', 0, 30, { tokensPerSecond: 10 })
    const planning = plan([...three, whole])
    expect(peersOf(planning)).toBe('w')
    expect(planning.explain.filter((verdict) => !verdict.chosen).map((verdict) => verdict.reason)).toEqual(
      Array.from({ length: 3 }, () => 'Another server holds the whole model')
    )
    expect(peersOf(plan([...three, whole], { split: true }))).toBe('a b c')
  })

  test('is the cheapest by computing, round trip and queue', () => {
    const near = (peer: string): number | undefined => (peer === 'b' ? 50 : 1)
    const other = advertOf('b2', 10, 20, { tokensPerSecond: 100 })
    expect(peersOf(plan([...three, other]))).toBe('a b c')
    expect(peersOf(plan([...three, other], { rttMs: near }))).toBe('a b2 c')
    expect(peersOf(plan([three[0]!, { ...three[1]!, queuedSteps: 9 }, three[2]!, other]))).toBe('a b2 c')
    const planning = plan(three, { rttMs: () => 2 })
    expect(planning.latencyMs).toBeCloseTo(3 * (2 + 1000 / 300))
  })

  test('prefers one class all through, and the class asked for', () => {
    const slow = [
      advertOf('x', 0, 15, { numericsClass: 'other', tokensPerSecond: 5 }),
      advertOf('y', 15, 30, { numericsClass: 'other', tokensPerSecond: 5 })
    ]
    const mixed = [three[0]!, three[1]!, { ...three[2]!, numericsClass: 'third' }]
    expect(peersOf(plan([...mixed, ...slow]))).toBe('x y')
    expect(peersOf(plan([...three, ...slow]))).toBe('a b c')
    expect(peersOf(plan([...three, ...slow], { numericsClass: 'other' }))).toBe('x y')
    expect(peersOf(plan(mixed))).toBe('a b c')
    expect(plan([...three, slow[0]!, { ...slow[1]! }]).explain.at(1)?.reason).toBe(
      'The chain is of another numerics class, all through'
    )
  })

  test('leaves out who has no room, counts otherwise, or is held back', () => {
    const planning = plan(
      [
        { ...three[0]!, freeTokens: 99 },
        { ...three[1]!, maxTokens: 50 },
        advertOf('z', 0, 10, { blockCount: 31 }),
        three[2]!,
        three[2]!
      ],
      { maxTokens: 100, excluded: (peer) => (peer === 'c' ? 'It failed' : undefined) }
    )
    expect(planning.problem).toBe(
      'the chain has no server for blocks 0 to 29; one of blocks 0 to 9 is left out: It has room for 99 tokens and 100 are needed'
    )
    // Who is left out beside another server of the same blocks is not what is missing.
    expect(plan([three[0]!, { ...three[0]!, peer: 'y', freeTokens: 0 }]).problem).toBe(
      'the chain has no server for blocks 10 to 29'
    )
    expect(Object.fromEntries(planning.explain.map(({ advert, reason }) => [advert.peer, reason]))).toEqual({
      a: 'It has room for 99 tokens and 100 are needed',
      b: 'Its sessions hold 50 tokens and 100 are needed',
      c: 'The same server is listed twice',
      z: 'It counts 31 blocks in the model, which has 30'
    })
  })

  test('prefers what is open already, as far as the time of a token allows', () => {
    const adverts = [advertOf('a', 0, 15), advertOf('n', 0, 15), advertOf('b', 15, 30)]
    const init = {
      rttMs: (peer: string) => ({ a: 40, n: 39, b: 10 })[peer],
      keep: [{ peer: 'a', from: 0, to: 15 }]
    }
    expect(peersOf(plan(adverts, { ...init, keep: [] }))).toBe('n b')
    expect(peersOf(plan(adverts, init))).toBe('a b')
    const latencyMs = plan(adverts, { ...init, keep: [] }).latencyMs ?? NaN
    expect(peersOf(plan(adverts, { ...init, constraints: { maxLatencyMs: latencyMs } }))).toBe('n b')
    // What is open has its room already.
    const full = adverts.map((advert) => ({ ...advert, freeTokens: advert.peer === 'b' ? 10 : 0 }))
    expect(peersOf(plan(full, { ...init, maxTokens: 10 }))).toBe('a b')
  })
})

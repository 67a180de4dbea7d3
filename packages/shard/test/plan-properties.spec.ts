import fc from 'fast-check'
import type { RouteConstraints } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import { planChain, planSpan, type Advert, type PlanInit, type SpanInit } from '../src/route/index.ts'

// What a plan has to be, computed by trying every exact cover.

const blockCount = 6
const modelHash = 'ab'.repeat(32)

const figures = fc.record({
  // Mostly spans that fit together, so that there are many covers to choose from.
  span: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom([0, 3], [3, 6], [0, 2], [2, 4], [4, 6], [2, 6], [0, 4]) },
    { weight: 1, arbitrary: fc.constantFrom([0, 6], [1, 3], [0, 5], [5, 6]) }
  ),
  // Often nearly alike, so that little things decide.
  speed: fc.oneof(fc.constant(5), fc.integer({ min: 1, max: 9 })),
  queuedSteps: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 })),
  price: fc.integer({ min: 0, max: 3 }),
  rttMs: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 38, max: 40 })),
  region: fc.constantFrom('eu', 'us', undefined),
  // Round trips to some of the others, by their number.
  next: fc.oneof(
    fc.constant<Record<string, number>>({}),
    fc.dictionary(fc.integer({ min: 0, max: 8 }).map(String), fc.integer({ min: 0, max: 30 }), { maxKeys: 3 })
  )
})
type Figures = typeof figures extends fc.Arbitrary<infer T> ? T : never

const servers = fc.oneof(
  fc.array(figures, { maxLength: 4 }),
  fc.array(figures, { minLength: 5, maxLength: 11 })
)
const topologies = fc.constantFrom('push' as const, 'star' as const)

const advertsOf = (all: readonly Figures[]): Advert[] =>
  all.map(({ span: [from = 0, to = blockCount], speed, queuedSteps, price, region, next }, index) => ({
    peer: `p${index}`,
    from,
    to,
    blockCount,
    numericsClass: 'one',
    maxTokens: 100,
    freeTokens: 100,
    tokensPerSecond: 100 * speed,
    queuedSteps,
    price,
    ...(region === undefined ? {} : { region }),
    ...(Object.keys(next).length === 0
      ? {}
      : { nextMs: Object.fromEntries(Object.entries(next).map(([to, ms]) => [`p${to}`, ms])) })
  }))
const indexOf = (peer: string): number => Number(peer.slice(1))
const rttOf =
  (all: readonly Figures[]) =>
  (peer: string): number =>
    all[indexOf(peer)]?.rttMs ?? 0
interface Cover {
  hops: Advert[]
  latencyMs: number
  price: number
}

/** Every exact cover of a range. */
const covers = (
  adverts: readonly Advert[],
  from: number,
  to: number,
  init: Pick<PlanInit, 'rttMs' | 'topology'>
): Cover[] => {
  const paths = (at: number): Advert[][] =>
    at === to
      ? [[]]
      : adverts
          .filter((advert) => advert.from === at && advert.to <= to)
          .flatMap((advert) => paths(advert.to).map((rest) => [advert, ...rest]))
  const rtt = (advert: Advert): number => init.rttMs?.(advert.peer) ?? 20
  return paths(from)
    .filter((hops) => hops.length > 0)
    .map((hops) => {
      let latencyMs = rtt(hops[0] as Advert) / 2 + rtt(hops.at(-1) as Advert) / 2
      hops.forEach((hop, index) => {
        latencyMs += (1000 / hop.tokensPerSecond) * (1 + hop.queuedSteps)
        const next = hops[index + 1]
        if (next !== undefined) {
          const straight = init.topology === 'star' ? undefined : hop.nextMs?.[next.peer]
          latencyMs += (straight ?? rtt(hop) + rtt(next)) / 2
        }
      })
      return { hops, latencyMs, price: hops.reduce((sum, hop) => sum + hop.price, 0) }
    })
}

/** A plan whose cost is its latency: everything is open already. */
const initOf = (all: readonly Figures[], constraints: RouteConstraints = {}): PlanInit => ({
  modelHash,
  blockCount,
  split: true,
  rttMs: rttOf(all),
  constraints,
  keep: advertsOf(all)
})

const runs = { numRuns: 600, seed: 3 }

describe('a plan is what trying everything finds:', () => {
  test('an exact cover, the cheapest there is', () => {
    fc.assert(
      fc.property(servers, topologies, (all, topology) => {
        const adverts = advertsOf(all)
        const init = { ...initOf(all), topology }
        const planning = planChain(adverts, init)
        const every = covers(adverts, 0, blockCount, init)
        expect(planning.explain).toHaveLength(adverts.length)
        if (every.length === 0) {
          expect(planning.plan).toBeUndefined()
          expect(planning.problem).toMatch(/the chain has no server|the servers overlap/)
          return
        }
        expect(planning.costMs).toBeCloseTo(Math.min(...every.map((cover) => cover.latencyMs)))
        expect(planning.latencyMs).toBeCloseTo(planning.costMs ?? NaN)
        let next = 0
        for (const hop of planning.plan?.hops ?? []) {
          expect(hop.from).toBe(next)
          next = hop.to
        }
        expect(next).toBe(blockCount)
      }),
      runs
    )
  })

  test('the cheapest within limits of time and price, whenever there is one', () => {
    const limits = fc.record({
      // The limits are those of some cover, moved a little.
      pick: fc.nat(),
      ms: fc.constantFrom(-0.01, 0.01, 5, undefined),
      credits: fc.constantFrom(-1, 0, 0, 1, undefined)
    })
    fc.assert(
      fc.property(servers, limits, topologies, fc.nat(1023), (all, { pick, ms, credits }, topology, kept) => {
        const adverts = advertsOf(all)
        const isKept = (advert: Advert): boolean => ((kept >> indexOf(advert.peer)) & 1) === 1
        const every = covers(adverts, 0, blockCount, { rttMs: rttOf(all), topology })
        const some = every[pick % Math.max(1, every.length)] ?? { latencyMs: 50, price: 3 }
        const constraints: RouteConstraints = {
          ...(ms === undefined ? {} : { maxLatencyMs: Math.max(0, some.latencyMs + ms) }),
          ...(credits === undefined ? {} : { maxPrice: Math.max(0, some.price + credits) })
        }
        const init = { ...initOf(all, constraints), topology, keep: adverts.filter(isKept) }
        const planning = planChain(adverts, init)
        const allowed = every.filter(
          ({ latencyMs, price }) =>
            latencyMs <= (constraints.maxLatencyMs ?? Infinity) && price <= (constraints.maxPrice ?? Infinity)
        )
        const costMs = ({ hops, latencyMs }: Cover): number =>
          hops
            .filter((hop) => !isKept(hop))
            .reduce((sum, hop) => sum + (10 + 2 * rttOf(all)(hop.peer)) / 64, latencyMs)
        if (allowed.length > 0) {
          expect(planning.costMs).toBeCloseTo(Math.min(...allowed.map(costMs)))
          expect(planning.latencyMs).toBeLessThanOrEqual(constraints.maxLatencyMs ?? Infinity)
        } else {
          expect(planning.plan).toBeUndefined()
          expect(planning.unmet.length > 0).toBe(every.length > 0 && Object.keys(constraints).length > 0)
        }
      }),
      { numRuns: 2000, seed: 3 }
    )
  })

  test('only of servers that meet what is asked of each, and every failure is told', () => {
    fc.assert(
      fc.property(servers, fc.integer({ min: 0, max: 40 }), (all, maxRttMs) => {
        const adverts = advertsOf(all)
        const planning = planChain(adverts, initOf(all, { maxRttMs, region: 'eu', denyPeers: ['p2'] }))
        const meets = (advert: Advert): boolean =>
          rttOf(all)(advert.peer) <= maxRttMs && advert.region === 'eu' && advert.peer !== 'p2'
        const every = covers(adverts.filter(meets), 0, blockCount, { rttMs: rttOf(all) })
        expect(planning.plan !== undefined).toBe(every.length > 0)
        for (const { advert, chosen, failed, reason } of planning.explain) {
          const expected = [
            ...(advert.peer === 'p2' ? ['denyPeers'] : []),
            ...(advert.region === 'eu' ? [] : ['region']),
            ...(rttOf(all)(advert.peer) <= maxRttMs ? [] : ['maxRttMs'])
          ]
          expect(failed.map(({ constraint }) => constraint)).toEqual(expected)
          if (expected.length > 0) {
            expect(chosen).toBe(false)
            expect(reason).toBe(failed.map((one) => one.reason).join('. '))
          }
        }
      }),
      runs
    )
  })

  test('for any span, inside the chain that is around it', () => {
    fc.assert(
      fc.property(
        servers,
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 1, max: 6 }),
        (all, from, length) => {
          const adverts = advertsOf(all)
          const to = Math.min(blockCount, from + length)
          const around: Advert[] = [
            { ...(adverts[0] as Advert), peer: 'p100', from: 0, to: from },
            { ...(adverts[0] as Advert), peer: 'p101', from: to, to: blockCount }
          ].filter((advert) => advert.from < advert.to && all.length > 0)
          const init: SpanInit = { ...initOf(all), from, to, around, maxSplitRttMs: Infinity }
          const planning = planSpan(adverts, init)
          const whole = around.length > 0
          const every = covers(
            [...around, ...adverts.filter((advert) => advert.from >= from && advert.to <= to)],
            whole ? 0 : from,
            whole ? blockCount : to,
            init
          ).filter((cover) => around.every((fixed) => cover.hops.includes(fixed)))
          expect(planning.hops !== undefined).toBe(every.length > 0)
          if (planning.hops === undefined) return
          expect(planning.latencyMs).toBeCloseTo(Math.min(...every.map((cover) => cover.latencyMs)))
          expect(planning.hops[0]?.from).toBe(from)
          expect(planning.hops.at(-1)?.to).toBe(to)
        }
      ),
      runs
    )
  })

  test('the same in whatever order the adverts come', () => {
    const constraints: RouteConstraints = {
      maxLatencyMs: 60,
      maxPrice: 4,
      region: 'eu',
      relax: ['region', 'maxPrice']
    }
    fc.assert(
      fc.property(
        servers.chain((all) =>
          fc.tuple(fc.constant(all), fc.shuffledSubarray(advertsOf(all), { minLength: all.length }))
        ),
        ([all, turned]) => {
          const init = { ...initOf(all, constraints), keep: [] }
          expect(planChain(turned, init)).toEqual(planChain(advertsOf(all), init))
        }
      ),
      runs
    )
  })

  test('with the first constraints given up that have to be, in their order, and no more', () => {
    const soft = ['region', 'maxPrice', 'maxRttMs'] as const
    fc.assert(
      fc.property(servers, fc.shuffledSubarray([...soft]), (all, relax) => {
        const hard: RouteConstraints = { region: 'eu', maxPrice: 2, maxRttMs: 15 }
        const adverts = advertsOf(all)
        const possible = (given: readonly string[]): boolean =>
          planChain(
            adverts,
            initOf(all, Object.fromEntries(Object.entries(hard).filter(([name]) => !given.includes(name))))
          ).plan !== undefined
        const planning = planChain(adverts, initOf(all, { ...hard, relax }))
        const steps = relax.map((_, index) => relax.slice(0, index + 1))
        const expected = [[], ...steps].find((given) => possible(given))
        expect(planning.plan !== undefined).toBe(expected !== undefined)
        expect(planning.relaxed).toEqual(expected ?? [])
      }),
      runs
    )
  })
})

import fc from 'fast-check'
import type { RouteConstraints } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import { planChain, planSpan, type Advert, type PlanInit, type SpanInit } from '../src/route/index.ts'

// What a plan has to be, computed by trying every exact cover.

const blockCount = 6
const modelHash = 'ab'.repeat(32)

const figures = fc.record({
  from: fc.integer({ min: 0, max: blockCount - 1 }),
  length: fc.integer({ min: 1, max: blockCount }),
  speed: fc.integer({ min: 1, max: 9 }),
  queuedSteps: fc.integer({ min: 0, max: 2 }),
  price: fc.integer({ min: 0, max: 3 }),
  rttMs: fc.integer({ min: 0, max: 40 }),
  region: fc.constantFrom('eu', 'us', undefined)
})
type Figures = typeof figures extends fc.Arbitrary<infer T> ? T : never

const servers = fc.array(figures, { maxLength: 9 })

const advertsOf = (all: readonly Figures[]): Advert[] =>
  all.map(({ from, length, speed, queuedSteps, price, region }, index) => ({
    peer: `p${index}`,
    from,
    to: Math.min(blockCount, from + length),
    blockCount,
    numericsClass: 'one',
    maxTokens: 100,
    freeTokens: 100,
    tokensPerSecond: 100 * speed,
    queuedSteps,
    price,
    ...(region === undefined ? {} : { region })
  }))
const indexOf = (peer: string): number => Number(peer.slice(1))
const rttOf =
  (all: readonly Figures[]) =>
  (peer: string): number =>
    all[indexOf(peer)]?.rttMs ?? 0
/** Some pairs of servers know their way. */
const linkMs = (a: string, b: string): number | undefined =>
  (indexOf(a) + indexOf(b)) % 2 === 0 ? undefined : ((indexOf(a) * 7 + indexOf(b) * 3) % 11) / 2

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
  init: Pick<PlanInit, 'rttMs' | 'linkMs'>
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
          latencyMs += init.linkMs?.(hop.peer, next.peer) ?? (rtt(hop) + rtt(next)) / 2
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

const runs = { numRuns: 400, seed: 3 }

describe('a plan is what trying everything finds:', () => {
  test('an exact cover, the cheapest there is', () => {
    fc.assert(
      fc.property(servers, fc.boolean(), (all, pushed) => {
        const adverts = advertsOf(all)
        const init = { ...initOf(all), ...(pushed ? { linkMs } : {}) }
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
    const limits = fc.record(
      { maxLatencyMs: fc.integer({ min: 1, max: 120 }), maxPrice: fc.integer({ min: 0, max: 8 }) },
      { requiredKeys: [] }
    )
    fc.assert(
      fc.property(servers, limits, fc.boolean(), (all, { maxLatencyMs, maxPrice }, pushed) => {
        const constraints: RouteConstraints = {
          ...(maxLatencyMs === undefined ? {} : { maxLatencyMs: maxLatencyMs + 0.01 }),
          ...(maxPrice === undefined ? {} : { maxPrice })
        }
        const adverts = advertsOf(all)
        const init = { ...initOf(all, constraints), ...(pushed ? { linkMs } : {}) }
        const planning = planChain(adverts, init)
        const every = covers(adverts, 0, blockCount, init)
        const allowed = every.filter(
          (cover) =>
            cover.latencyMs <= (constraints.maxLatencyMs ?? Infinity) && cover.price <= (maxPrice ?? Infinity)
        )
        if (allowed.length > 0) {
          expect(planning.costMs).toBeCloseTo(Math.min(...allowed.map((cover) => cover.latencyMs)))
        } else {
          expect(planning.plan).toBeUndefined()
          expect(planning.unmet.length > 0).toBe(every.length > 0 && Object.keys(constraints).length > 0)
        }
      }),
      runs
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
          const init: SpanInit = { ...initOf(all), linkMs, from, to, around, maxSplitRttMs: Infinity }
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

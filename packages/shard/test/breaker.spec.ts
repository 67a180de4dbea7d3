import fc from 'fast-check'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { createBreaker, type Breaker, type Permit } from '../src/route/index.ts'

let clock: FakeClock
let breaker: Breaker
beforeEach(() => {
  clock = createFakeClock()
  breaker = createBreaker(clock, { next: () => 0, bytes: (length) => new Uint8Array(length) })
})
const take = (peer = 'p'): Permit => {
  const permit = breaker.take(peer)
  if (permit === undefined) throw new Error(`${peer} is taken: ${breaker.reason(peer)}`)
  return permit
}

describe('a circuit breaker', () => {
  test('lets all ask a peer that works, and leaves out one that failed', async () => {
    const permits = [take(), take(), take()]
    expect(breaker.state('p')).toBe('closed')
    expect(permits.map((permit) => permit.probing())).toEqual([false, false, false])
    permits[0]?.failed('It hung')
    expect(breaker.state('p')).toBe('open')
    expect(breaker.reason('p')).toBe('It is left out for 2 s more: It hung')
    expect(breaker.take('p')).toBeUndefined()
    expect(breaker.nextMs()).toBe(2000)
    // The same death, seen by the others, is no second failure.
    permits[1]?.failed('It hung')
    permits[2]?.failed('It hung')
    await clock.advance(2000)
    expect(breaker.state('p')).toBe('half-open')
  })

  test('lets exactly one try again', async () => {
    take().failed('It hung')
    await clock.advance(2000)
    const probe = take()
    expect(probe.probing()).toBe(true)
    expect(breaker.reason('p')).toBe('Another request tries it again now: It hung')
    expect(breaker.take('p')).toBeUndefined()
    probe.succeeded()
    expect(breaker.state('p')).toBe('closed')
    expect([take(), take()].map((permit) => permit.probing())).toEqual([false, false])
  })

  test('waits twice as long after each probe that fails, up to two minutes, and starts anew after one that works', async () => {
    take().failed('1')
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      waits.push(breaker.nextMs() ?? 0)
      await clock.advance(breaker.nextMs() ?? 0)
      take().failed('again')
    }
    expect(waits).toEqual([2000, 4000, 8000, 16_000, 32_000, 64_000, 120_000, 120_000])
    await clock.advance(120_000)
    take().succeeded()
    take().failed('new')
    expect(breaker.nextMs()).toBe(2000)
  })

  test('spreads the waits', () => {
    breaker = createBreaker(clock, createSeededRandom(1))
    const waits = Array.from({ length: 50 }, (_, index) => {
      const peer = `p${index}`
      breaker.take(peer)?.failed('x')
      const [, seconds] = /for (\d) s/.exec(breaker.reason(peer) ?? '') ?? []
      return Number(seconds)
    })
    expect(new Set(waits)).toEqual(new Set([3]))
    expect(breaker.nextMs()).toBeGreaterThan(2000)
    expect(breaker.nextMs()).toBeLessThan(2100)
  })

  test('waits as long as the peer itself says, and counts no failure', async () => {
    take().failed('full', 700)
    expect(breaker.nextMs()).toBe(700)
    await clock.advance(700)
    take().failed('dead')
    expect(breaker.nextMs()).toBe(2000)
    take('q').failed('full', 10 ** 9)
    await clock.advance(120_000)
    expect(breaker.reason('q')).toBeUndefined()
  })

  test('gives a probe back that was not used, and takes one back that nobody heard of again', async () => {
    take().failed('1')
    await clock.advance(2000)
    take().release()
    const lost = take()
    await clock.advance(29_999)
    expect(breaker.take('p')).toBeUndefined()
    await clock.advance(1)
    const next = take()
    expect([lost.probing(), next.probing()]).toEqual([false, true])
    // What the lost one says now is no news.
    lost.succeeded()
    lost.failed('late')
    lost.release()
    expect(next.probing()).toBe(true)
    next.succeeded()
    expect(breaker.state('p')).toBe('closed')
  })

  test('hears of a failure after a success', () => {
    const permit = take()
    permit.succeeded()
    permit.failed('It died in the end')
    expect(breaker.state('p')).toBe('open')
  })

  test('tells when a peer is left out, and what comes of a probe', async () => {
    let changes = 0
    breaker = createBreaker(clock, createSeededRandom(1), () => changes++)
    const told = (act: () => void): number => {
      const before = changes
      act()
      return changes - before
    }
    const [first, second] = [take(), take()]
    expect(told(() => first.succeeded())).toBe(0)
    expect(told(() => first.failed('x'))).toBe(1)
    expect(told(() => second.failed('x'))).toBe(0)
    for (const end of ['release', 'failed', 'succeeded'] as const) {
      expect(breaker.nextMs('q')).toBeUndefined()
      await clock.advance(breaker.nextMs('p') ?? 0)
      const probe = take()
      expect(told(() => probe[end]('again'))).toBe(1)
      expect(told(() => probe[end]('again'))).toBe(0)
    }
  })

  test('remembers 1,024 peers, the last ones', () => {
    for (let i = 0; i < 1025; i++) take(`p${i}`).failed('x')
    expect(breaker.state('p0')).toBe('closed')
    expect(breaker.state('p1')).toBe('open')
    expect(breaker.state('p1024')).toBe('open')
  })

  test('is the state machine it says, whatever happens in whatever order', async () => {
    const command = fc.oneof(
      fc.record({ type: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 40_000 }) }),
      fc.record({ type: fc.constant('take' as const) }),
      fc.record({
        type: fc.constantFrom('succeeded' as const, 'failed' as const, 'full' as const, 'release' as const),
        index: fc.nat(20)
      })
    )
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), fc.integer(), async (commands, seed) => {
        clock = createFakeClock()
        breaker = createBreaker(clock, createSeededRandom(seed))
        // The model: what a careful reader of the documentation would keep.
        let failures = 0
        let openUntil: number | undefined
        let probe: { permit: Permit; at: number } | undefined
        const permits: Permit[] = []
        const opened = (permit: Permit, retryAfterMs?: number): void => {
          const counts = openUntil === undefined || probe?.permit === permit
          if (!counts) return
          const waitMs = breaker.nextMs() ?? 0
          const least = retryAfterMs ?? Math.min(120_000, 2000 * 2 ** failures)
          if (retryAfterMs === undefined) failures++
          expect(waitMs).toBeGreaterThanOrEqual(least)
          expect(waitMs).toBeLessThanOrEqual(Math.min(120_000, least * 1.25))
          openUntil = clock.monotonic() + waitMs
          probe = undefined
        }
        for (const one of commands) {
          if (one.type === 'advance') await clock.advance(one.ms)
          else if (one.type === 'take') {
            const permit = breaker.take('p')
            const now = clock.monotonic()
            const taken = probe !== undefined && now - probe.at < 30_000
            const free = openUntil === undefined || (now >= openUntil && !taken)
            expect(permit !== undefined).toBe(free)
            if (permit === undefined) continue
            permits.push(permit)
            expect(permit.probing()).toBe(openUntil !== undefined)
            if (openUntil !== undefined) probe = { permit, at: now }
          } else {
            const permit = permits[one.index % Math.max(1, permits.length)]
            if (permit === undefined) continue
            const isProbe = probe?.permit === permit
            if (one.type === 'succeeded') {
              permit.succeeded()
              if (isProbe) [failures, openUntil, probe] = [0, undefined, undefined]
            } else if (one.type === 'release') {
              permit.release()
              if (isProbe) probe = undefined
            } else {
              const retryAfterMs = one.type === 'full' ? 1500 : undefined
              permit.failed('x', retryAfterMs)
              opened(permit, retryAfterMs)
            }
          }
          const state =
            openUntil === undefined ? 'closed' : clock.monotonic() < openUntil ? 'open' : 'half-open'
          expect(breaker.state('p')).toBe(state)
          expect(permits.filter((permit) => permit.probing()).length).toBe(probe === undefined ? 0 : 1)
        }
      }),
      { numRuns: 300, seed: 5 }
    )
  })
})

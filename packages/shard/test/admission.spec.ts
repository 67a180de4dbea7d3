import { KwaaiError } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, macrotask, type FakeClock } from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createAdmission,
  type Admission,
  type AdmissionLimits,
  type Reservation,
  type Tenant
} from '../src/session/admission.ts'
import { sessionBytes, sessionTokens } from '../src/session/session-bytes.ts'
import { createFakeRunner, codeOf } from './session-kit.ts'

const limits: AdmissionLimits = {
  maxSessions: 8,
  maxSessionsPerPeer: 6,
  maxKvBytes: 1000,
  maxKvBytesPerPeer: 600,
  minIdleMs: 2_000,
  idleTimeoutMs: 120_000
}

interface Guest extends Tenant {
  heardAt: number
  steps: number
  reservation?: Reservation
  code?: string
}

interface Stage {
  clock: FakeClock
  admission: Admission
  /** Opens a session that ends, as a server's does, some time after it is told to. */
  open(peer: string, bytes: number): Guest
}

function stageOf(init: Partial<AdmissionLimits> = {}): Stage {
  const clock = createFakeClock()
  const admission = createAdmission({ ...limits, ...init }, { clock, random: createSeededRandom(1) })
  return {
    clock,
    admission,
    open(peer, bytes) {
      const guest: Guest = {
        heardAt: clock.monotonic(),
        steps: 0,
        busy: () => guest.steps > 0,
        ended: new AbortController()
      }
      guest.ended.signal.addEventListener('abort', () => {
        const { reason } = guest.ended.signal
        guest.code = KwaaiError.is(reason) ? reason.code : 'no code'
      })
      guest.reservation = admission.reserve(peer, bytes, guest)
      return guest
    }
  }
}

function refusal(run: () => unknown): { code: string; retryAfterMs: number } {
  try {
    run()
  } catch (error) {
    if (KwaaiError.is(error)) {
      return { code: error.code, retryAfterMs: Number(error.details['retryAfterMs']) }
    }
    throw error
  }
  return { code: 'admitted', retryAfterMs: 0 }
}

describe('a session that needs room', () => {
  test('takes it from the longest unheard session of its own caller first', async () => {
    const { clock, admission, open } = stageOf()
    const guests = ['a', 'b', 'a', 'a'].map((peer) => open(peer, 200))
    await clock.advance(3_000)
    guests[0]!.heardAt = clock.monotonic() - 2_500
    open('a', 200)
    expect(guests.map(({ code }) => code)).toEqual([
      undefined,
      undefined,
      'ERR_SHARD_SESSION_EXPIRED',
      undefined
    ])
    expect(admission).toMatchObject({ sessions: 4, kvBytes: 800 })
  })

  test('takes it from callers above their share, never from one within it', async () => {
    const { clock, open } = stageOf()
    const small = open('b', 100)
    await clock.advance(10)
    const big = [0, 1, 2].map(() => open('a', 200))
    const other = open('c', 300)
    await clock.advance(3_000)
    // A third or a quarter of 1000 is everybody's.
    open('d', 200)
    expect(big.map(({ code }) => code)).toEqual(['ERR_SHARD_SESSION_EXPIRED', undefined, undefined])
    open('d', 50)
    expect([...big, other].filter(({ code }) => code !== undefined)).toHaveLength(2)
    expect(small.code).toBeUndefined()
  })

  test('does not take from whoever would then hold less than it does itself', async () => {
    const { clock, open } = stageOf()
    open('a', 500)
    open('b', 400)
    await clock.advance(3_000)
    expect(refusal(() => open('b', 200)).code).toBe('admitted')
    await clock.advance(3_000)
    expect(refusal(() => open('a', 350)).code).toBe('admitted')
  })

  test('waits until the memory of those that went is free', async () => {
    const { clock, open } = stageOf()
    const old = [open('a', 600), open('b', 400)]
    await clock.advance(3_000)
    const next = open('c', 100)
    expect(old[0]?.code).toBe('ERR_SHARD_SESSION_EXPIRED')
    let ready = false
    const waiting = next.reservation!.ready().then(() => (ready = true))
    // One that gives up, and one that needs nobody to go, wait no less.
    const gone = new AbortController()
    const given = codeOf(next.reservation!.ready({ signal: gone.signal }))
    gone.abort(new KwaaiError('ERR_X', 'gone'))
    expect(await given).toBe('ERR_X')
    const third = open('d', 50).reservation!.ready()
    await macrotask()
    expect(ready).toBe(false)
    old[0]!.reservation!.release()
    await Promise.all([waiting, third])
  })

  test('is refused for good when it could never fit', () => {
    const { open } = stageOf()
    expect(refusal(() => open('a', 601)).code).toBe('ERR_SHARD_CONTEXT_EXCEEDED')
  })

  test('is told when to come back: when a session turns idle, has lived its time, or expires', async () => {
    const { clock, open } = stageOf({ maxSessions: 2, maxSessionsPerPeer: 1 })
    const first = open('a', 100)
    await clock.advance(500)
    // Its own session has 1,500 ms to go until it counts as idle; half as much again is the spread.
    let told = refusal(() => open('a', 100)).retryAfterMs
    expect(told).toBeGreaterThanOrEqual(1_500)
    expect(told).toBeLessThanOrEqual(2_250)
    // With the first one busy, others wait for as long as sessions usually live.
    first.reservation!.release()
    const busy = [open('a', 100), open('b', 100)]
    for (const guest of busy) guest.steps = 1
    told = refusal(() => open('c', 100)).retryAfterMs
    expect(told).toBeGreaterThanOrEqual(500)
    expect(told).toBeLessThanOrEqual(750)
  })

  test('is told when one expires that need not make room for it', async () => {
    const { clock, open } = stageOf()
    const smaller = [open('a', 500), open('b', 400)]
    await clock.advance(500_000)
    smaller[0]!.heardAt = clock.monotonic() - 119_000
    smaller[1]!.steps = 1
    const told = refusal(() => open('c', 550)).retryAfterMs
    expect(told).toBeGreaterThanOrEqual(1_000)
    expect(told).toBeLessThanOrEqual(1_500)
  })
})

type Event =
  | { type: 'open'; peer: string; bytes: number }
  | { type: 'step' | 'done' | 'close' | 'leave'; which: number }
  | { type: 'wait'; ms: number }

const events = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('open' as const),
        peer: fc.constantFrom('a', 'b', 'c', 'd'),
        bytes: fc.integer({ min: 1, max: 420 })
      })
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constantFrom('step' as const, 'done' as const, 'close' as const, 'leave' as const),
        which: fc.nat(40)
      })
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 500, max: 5_000 }) })
    }
  ),
  { minLength: 40, maxLength: 120 }
)

test('whatever happens: never too much, never the wrong one, never less than a fair share', async () => {
  let evictions = 0
  let fair = 0
  await fc.assert(
    fc.asyncProperty(events, async (story: Event[]) => {
      const { clock, admission, open } = stageOf({ maxKvBytesPerPeer: 400 })
      interface Held extends Guest {
        peer: string
        bytes: number
      }
      let held: Held[] = []
      const leaving: Held[] = []
      const of = (peer: string): Held[] => held.filter((guest) => guest.peer === peer)
      const bytesOf = (guests: readonly Held[]): number => guests.reduce((sum, { bytes }) => sum + bytes, 0)
      for (const event of story) {
        if (event.type === 'wait') await clock.advance(event.ms)
        else if (event.type === 'open') {
          const { peer, bytes } = event
          const now = clock.monotonic()
          const before = held
          const callers = new Set([...held.map((guest) => guest.peer), peer]).size
          const able = before.filter((guest) => guest.steps === 0 && now - guest.heardAt >= 2_000)
          try {
            held = [...held, Object.assign(open(peer, bytes), { peer, bytes })]
          } catch (error) {
            const code = KwaaiError.is(error) ? error.code : String(error)
            expect(code).toBe(bytes > 400 ? 'ERR_SHARD_CONTEXT_EXCEEDED' : 'ERR_SHARD_SERVER_FULL')
            // Nobody goes for one that is not admitted.
            expect(before.filter((guest) => guest.code !== undefined)).toEqual([])
            if (bytes > 400) continue
            // One that asks for no more than its share finds it, unless those who hold too much are at work.
            const after = bytesOf(of(peer)) + bytes
            if (after <= 1000 / callers && of(peer).length + 1 <= 8 / callers) {
              const idleAll = before.every((guest) => able.includes(guest))
              expect(idleAll).toBe(false)
              fair++
            }
            const { retryAfterMs } = (error as KwaaiError).details as { retryAfterMs: number }
            expect(retryAfterMs).toBeGreaterThanOrEqual(250)
            expect(retryAfterMs).toBeLessThanOrEqual(180_000)
          }
          const gone = held.filter((guest) => guest.code !== undefined)
          for (const guest of gone) {
            evictions++
            expect(guest.code).toBe('ERR_SHARD_SESSION_EXPIRED')
            expect(able).toContain(guest)
            const others = before.filter((one) => one.peer === guest.peer)
            const aboveShare =
              bytesOf(others) > 1000 / callers || others.length > limits.maxSessions / callers
            expect(guest.peer === peer || aboveShare).toBe(true)
          }
          held = held.filter((guest) => guest.code === undefined)
          leaving.push(...gone)
        } else {
          const guest = held[event.which % Math.max(1, held.length)]
          if (event.type === 'leave') leaving.shift()?.reservation?.release()
          else if (guest !== undefined && event.type === 'close') {
            held = held.filter((other) => other !== guest)
            guest.reservation?.release()
            guest.reservation?.release()
          } else if (guest !== undefined) {
            guest.steps = event.type === 'step' && event.which % 3 === 0 ? 1 : 0
            guest.heardAt = clock.monotonic()
          }
        }
        expect(admission.sessions).toBe(held.length)
        expect(admission.kvBytes).toBe(bytesOf(held))
        expect(admission.kvBytes).toBeLessThanOrEqual(limits.maxKvBytes)
        expect(admission.sessions).toBeLessThanOrEqual(limits.maxSessions)
        for (const peer of ['a', 'b', 'c', 'd']) {
          expect(bytesOf(of(peer))).toBeLessThanOrEqual(400)
          expect(of(peer).length).toBeLessThanOrEqual(limits.maxSessionsPerPeer)
        }
        expect(admission.freeKvBytes).toBeLessThanOrEqual(limits.maxKvBytes)
        expect(admission.freeKvBytes).toBeGreaterThanOrEqual(0)
      }
      for (const guest of [...held, ...leaving]) guest.reservation?.release()
      expect(admission).toMatchObject({ sessions: 0, kvBytes: 0, freeKvBytes: limits.maxKvBytes })
    }),
    { numRuns: 150, seed: 3 }
  )
  expect(evictions).toBeGreaterThan(50)
  expect(fair).toBeGreaterThan(5)
})

test('a caller with one session gets its turn while another one opens all it can', async () => {
  const { clock, open } = stageOf()
  const greedy = Array.from({ length: 6 }, () => open('a', 100))
  for (let i = 0; i < 2; i++) open('b', 100)
  for (let i = 0; i < 30; i++) {
    await clock.advance(2_500)
    // It is at work with all but one.
    for (const guest of greedy.slice(1)) guest.heardAt = clock.monotonic()
    expect(refusal(() => open('c', 50).reservation?.release()).code).toBe('admitted')
    refusal(() => (greedy[0] = open('a', 100)))
  }
})

describe('the bytes of a session', () => {
  const size = (multiple: number) => ({
    ...createFakeRunner({ from: 0, to: 2, blockCount: 6 }),
    kvRowsMultiple: multiple
  })

  test('are those of its cache as the backend rounds it, and of its outputs where they are kept', () => {
    expect(sessionBytes(size(1), { maxTokens: 5, forward: false })).toBe(500)
    expect(sessionBytes(size(256), { maxTokens: 257, forward: false })).toBe(51_200)
    expect(sessionBytes(size(256), { maxTokens: 257, forward: true })).toBe(51_200 + 257 * 32)
  })

  test('are enough for as many rows as are promised, and not for one more', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 7, 256), fc.nat(200_000), (multiple, bytes) => {
        const runner = size(multiple)
        const rows = sessionTokens(runner, bytes)
        if (rows > 0) {
          expect(sessionBytes(runner, { maxTokens: rows, forward: true })).toBeLessThanOrEqual(bytes)
        }
        expect(sessionBytes(runner, { maxTokens: rows + 1, forward: true })).toBeGreaterThan(bytes)
      })
    )
  })
})

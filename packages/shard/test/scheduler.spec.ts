import { createSeededRandom } from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createFairQueue } from '../src/session/fair-queue.ts'
import {
  createScheduler,
  maxDecodeRows,
  type ScheduledStep,
  type ScheduleLimits,
  type Scheduler
} from '../src/session/scheduler.ts'

const limits: ScheduleLimits = { maxBatchSteps: 8, maxPrefillRows: 128, decodeGroups: 2, maxHoldMs: 10 }

interface Step extends ScheduledStep {
  id: number
}

let ids = 0
function step(session: number, rows: number, init: Partial<Step> = {}): Step {
  const kernel = rows > 1 ? 'tile' : 'vec'
  return { id: ids++, session, peer: `caller ${session}`, rows, kernel, deadlineAt: Infinity, ...init }
}

/** What the next call holds; a step that is late, or a wait, is an error of the test. */
function runNext(scheduler: Scheduler<Step>, now = 0, computeMs = 0): Step[] {
  const next = scheduler.pick(now)
  if (next.type === 'idle') return []
  if (next.type !== 'run') throw new Error(`not to be run: ${next.type}`)
  scheduler.done(next, computeMs, now + computeMs)
  return next.steps
}

describe('a queue of several callers', () => {
  test('gives callers who always wait the same number of rows, whatever the length of their steps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 512 }), { minLength: 2, maxLength: 6 }),
        fc.integer({ min: 1, max: 300 }),
        (lengths, quantum) => {
          const queue = createFairQueue<{ peer: string; rows: number }>(quantum)
          const served = new Map<string, number>(lengths.map((_, peer) => [String(peer), 0]))
          for (const [peer, rows] of lengths.entries()) {
            for (let i = 0; i < 130; i++) queue.push({ peer: String(peer), rows })
          }
          for (let call = 0; call < 100; call++) {
            for (const item of queue.take({ items: Infinity, rows: 128 })) {
              served.set(item.peer, (served.get(item.peer) as number) + item.rows)
              queue.push(item)
            }
          }
          const rows = [...served.values()]
          // The bound of the paper: less than a turn and the longest step apart.
          expect(Math.max(...rows) - Math.min(...rows)).toBeLessThanOrEqual(quantum + 2 * 512)
        }
      )
    )
  })

  test('keeps a count, an order for each caller, and nothing that was taken out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 200 }), fc.nat(9)), { maxLength: 60 }),
        (story) => {
          interface Item {
            peer: string
            rows: number
            id: number
          }
          const queue = createFairQueue<Item>(64)
          let waiting: Item[] = []
          for (const [id, [peer, rows, what]] of story.entries()) {
            if (what < 6) {
              const item = { peer: String(peer), rows, id }
              queue.push(item)
              waiting.push(item)
            } else if (what < 8) {
              const taken = queue.take({ items: 3, rows: 128 })
              expect(taken.length > 0).toBe(waiting.length > 0)
              for (const item of taken) {
                expect(waiting.find((other) => other.peer === item.peer)).toBe(item)
                waiting = waiting.filter((other) => other !== item)
              }
            } else if (waiting.length > 0) {
              const item = waiting[id % waiting.length] as Item
              queue.remove(item)
              queue.remove(item)
              waiting = waiting.filter((other) => other !== item)
            }
            expect(queue.size).toBe(waiting.length)
            expect([...queue].toSorted((a, b) => a.id - b.id)).toEqual(waiting)
          }
        }
      )
    )
  })
})

describe('the scheduler', () => {
  test('keeps its word whatever comes, in whatever order', () => {
    let calls = 0
    let holds = 0
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), (seed) => {
        const random = createSeededRandom(seed)
        const below = (n: number): number => Math.floor(n * random.next())
        const scheduler = createScheduler<Step>(limits)
        const queues = new Map<number, Step[]>()
        /** Calls with rows of prompts that began while a step was the first of its session. */
        const prefillsSince = new Map<number, number>()
        const readyAt = new Map<number, number>()
        let now = 0
        let freeAt = 0
        const first = (session: number): void => {
          const [head] = queues.get(session) ?? []
          if (head === undefined) return
          prefillsSince.set(head.id, 0)
          readyAt.set(head.id, now)
        }
        const arrive = (): void => {
          const session = below(6)
          const rows = [1, 1, 1, 1, 4, 20, 64, 128, 300][below(9)] as number
          const kernel = rows === 1 || random.next() < 0.3 ? 'vec' : 'tile'
          const deadlineAt = random.next() < 0.1 ? now + 20 * random.next() : Infinity
          const made = step(session, rows, { peer: `caller ${session % 3}`, kernel, deadlineAt })
          const queue = queues.get(session) ?? []
          queues.set(session, [...queue, made])
          scheduler.add(made, now)
          if (queue.length === 0) first(session)
        }
        for (let turn = 0; turn < 150; turn++) {
          for (let n = below(3); n > 0; n--) arrive()
          const waiting = [...queues.values()].flat()
          expect(scheduler.waiting).toBe(waiting.length)
          if (random.next() < 0.03) {
            const session = below(6)
            const dropped = scheduler.drop(session)
            expect(dropped).toEqual(queues.get(session) ?? [])
            queues.delete(session)
            continue
          }
          const next = scheduler.pick(now)
          if (next.type === 'idle') {
            expect(waiting).toEqual([])
            now += 3 * random.next()
          } else if (next.type === 'late') {
            const { session } = next.step
            expect(queues.get(session)?.[0]).toBe(next.step)
            expect(next.step.deadlineAt).toBeLessThanOrEqual(now)
            queues.set(session, (queues.get(session) as Step[]).slice(1))
            first(session)
          } else if (next.type === 'wait') {
            holds++
            const heads = [...queues.values()].flatMap(([head]) => head ?? [])
            const since = Math.min(...heads.map(({ id }) => readyAt.get(id) as number))
            expect(next.until).toBeGreaterThan(now)
            expect(next.until - Math.max(since, freeAt)).toBeLessThanOrEqual(10 + 1e-9)
            expect(heads.every(({ kernel }) => kernel === 'vec')).toBe(true)
            for (const { deadlineAt } of heads) expect(deadlineAt).toBeGreaterThan(next.until)
            now = next.until
          } else {
            calls++
            const { steps, decode } = next
            expect(new Set(steps.map(({ session }) => session)).size).toBe(steps.length)
            expect(steps.length).toBeGreaterThan(0)
            expect(steps.length).toBeLessThanOrEqual(8)
            for (const one of steps) {
              expect(queues.get(one.session)?.[0]).toBe(one)
              expect(one.deadlineAt).toBeGreaterThan(now)
              expect(one.kernel === 'vec' && one.rows <= maxDecodeRows).toBe(decode)
            }
            const rows = steps.reduce((sum, one) => sum + one.rows, 0)
            if (!decode && steps.length > 1) expect(rows).toBeLessThanOrEqual(128)
            if (!decode) {
              for (const [head] of queues.values()) {
                if (head === undefined || steps.includes(head)) continue
                const passed = (prefillsSince.get(head.id) as number) + 1
                prefillsSince.set(head.id, passed)
                if (head.kernel === 'vec' && head.rows <= maxDecodeRows) expect(passed).toBe(1)
              }
            }
            const computeMs = 4 * random.next()
            now += computeMs / 2
            if (random.next() < 0.5) arrive()
            now += computeMs / 2
            scheduler.done(next, computeMs, now)
            freeAt = now
            for (const { session } of steps) {
              queues.set(session, (queues.get(session) as Step[]).slice(1))
              first(session)
            }
          }
        }
      }),
      { numRuns: 40, seed: 4 }
    )
    expect(calls).toBeGreaterThan(2_000)
    expect(holds).toBeGreaterThan(10)
  })

  test('lets rows of prompts and generated rows take turns', () => {
    const scheduler = createScheduler<Step>(limits)
    for (let i = 0; i < 3; i++) scheduler.add(step(1, 64), 0)
    const order: string[] = []
    for (let i = 0; i < 6; i++) {
      scheduler.add(step(2, 1), 0)
      order.push(runNext(scheduler)[0]?.rows === 64 ? 'prompt' : 'row')
    }
    expect(order).toEqual(['row', 'prompt', 'row', 'prompt', 'row', 'prompt'])
  })

  test('runs pieces of several prompts together as far as they fit, in turn by caller', () => {
    const scheduler = createScheduler<Step>(limits)
    // Sixteen sessions of one caller with long prompts, and one of another.
    for (let session = 0; session < 16; session++) {
      for (let i = 0; i < 4; i++) scheduler.add(step(session, 64, { peer: 'greedy' }), 0)
    }
    for (let i = 0; i < 4; i++) scheduler.add(step(99, 64, { peer: 'modest' }), 0)
    const calls = Array.from({ length: 6 }, () => runNext(scheduler).map(({ session }) => session))
    expect(calls.flat().filter((session) => session === 99)).toHaveLength(4)
    expect(calls.every(({ length }) => length === 2)).toBe(true)
    // A step longer than a chunk pays for it with the turns after.
    scheduler.add(step(50, 512, { peer: 'long' }), 0)
    scheduler.add(step(50, 512, { peer: 'long' }), 0)
    const rows = Array.from({ length: 14 }, () => runNext(scheduler).map((one) => one.rows))
    expect(rows.filter(([first]) => first === 512)).toHaveLength(2)
    expect(rows.findIndex(([first]) => first === 512)).toBeGreaterThan(2)
  })

  test('gives a single generating session its row in the next call, however many another caller has', () => {
    const scheduler = createScheduler<Step>(limits)
    for (let session = 0; session < 16; session++) {
      for (let i = 0; i < 3; i++) scheduler.add(step(session, 1, { peer: 'greedy' }), 0)
    }
    runNext(scheduler)
    scheduler.add(step(99, 1, { peer: 'modest' }), 0)
    expect(runNext(scheduler).map(({ session }) => session)).toContain(99)
  })

  test('names the sessions of a batch in one order, so that a backend knows it again', () => {
    const scheduler = createScheduler<Step>({ ...limits, decodeGroups: 1 })
    for (const session of [3, 1, 2]) scheduler.add(step(session, 1), 0)
    expect(runNext(scheduler).map(({ session }) => session)).toEqual([1, 2, 3])
    for (const session of [2, 3, 1]) scheduler.add(step(session, 1), 5)
    expect(runNext(scheduler, 5).map(({ session }) => session)).toEqual([1, 2, 3])
  })

  test('never waits for company that is not there, or left', () => {
    const scheduler = createScheduler<Step>(limits)
    let now = 0
    const token = (sessions: readonly number[]): string[] => {
      now += 6
      for (const session of sessions) scheduler.add(step(session, 1), now)
      const types: string[] = []
      for (let next = scheduler.pick(now); next.type !== 'idle'; next = scheduler.pick(now)) {
        types.push(next.type)
        if (next.type === 'wait') now = next.until
        else if (next.type === 'run') scheduler.done(next, 2, (now += 2))
      }
      return types
    }
    for (let i = 0; i < 10; i++) expect(token([1])).toEqual(['run'])
    for (let i = 0; i < 10; i++) token([1, 2, 3, 4, 5, 6])
    // All but one fall silent: it waits a little at first, and soon no more.
    const alone = Array.from({ length: 12 }, () => token([1]))
    expect(alone.slice(-6)).toEqual(Array.from({ length: 6 }, () => ['run']))
    // All but one end: it waits for none of them.
    for (let i = 0; i < 10; i++) token([1, 2, 3, 4, 5, 6])
    for (const session of [2, 3, 4, 5, 6]) scheduler.drop(session)
    expect(token([1])).toEqual(['run'])
  })
})

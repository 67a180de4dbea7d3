import { KwaaiError } from '@kwaai/interface'
import {
  assert,
  assertEqual,
  assertRejects,
  assertRejectsWith,
  createFakeClock,
  createSeededRandom,
  createSeededScheduler
} from '@kwaai/testing'
import { expect, test } from 'vitest'

test('the fake clock wakes sleepers in order, each at its own time', async () => {
  const clock = createFakeClock({ now: 1000 })
  const woken: [string, number][] = []
  const sleep = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms)
    woken.push([name, clock.now()])
  }
  const late = sleep('late', 30)
  const early = sleep('early', 10).then(() => sleep('chained', 5))
  await clock.advance(9)
  expect(woken).toEqual([])
  await clock.advance(91)
  await Promise.all([late, early])
  expect(woken).toEqual([
    ['early', 1010],
    ['chained', 1015],
    ['late', 1030]
  ])
  expect([clock.now(), clock.monotonic(), clock.sleeping]).toEqual([1100, 100, 0])
})

test('the fake clock goes from one sleeper to the next', async () => {
  const clock = createFakeClock()
  const woken: string[] = []
  const sleep = (name: string, ms: number): Promise<unknown> => clock.sleep(ms).then(() => woken.push(name))
  const all = [sleep('late', 0.3), sleep('early', 0.1), sleep('early too', 0.1)]
  expect(await clock.advanceToNext()).toBe(true)
  expect([woken, clock.monotonic()]).toEqual([['early', 'early too'], 0.1])
  expect(await clock.advanceToNext()).toBe(true)
  await Promise.all(all)
  expect(await clock.advanceToNext()).toBe(false)
  expect([woken.at(-1), clock.monotonic()]).toEqual(['late', 0.3])
})

test('time passes on the fake clock however short the sleep', async () => {
  const clock = createFakeClock()
  await clock.advance(123_456.7)
  const before = clock.monotonic()
  void clock.sleep(1e-12)
  await clock.advanceToNext()
  expect(clock.monotonic()).toBeGreaterThan(before)
  expect(clock.monotonic()).toBeCloseTo(before, 9)
})

test('a sleep on the fake clock ends with the reason of its signal', async () => {
  const clock = createFakeClock()
  const reason = new Error('enough')
  expect(await assertRejects(clock.sleep(5, { signal: AbortSignal.abort(reason) }), 'sleep')).toBe(reason)
  const controller = new AbortController()
  const sleep = clock.sleep(5, { signal: controller.signal })
  controller.abort(reason)
  expect(await assertRejects(sleep, 'sleep')).toBe(reason)
  expect(clock.sleeping).toBe(0)
})

test('seeded randomness repeats, differs by seed and is even', () => {
  const draw = (seed: number | string): number[] => {
    const random = createSeededRandom(seed)
    return Array.from({ length: 2000 }, () => random.next())
  }
  expect(draw('a')).toEqual(draw('a'))
  expect(draw('a')).not.toEqual(draw('b'))
  expect(draw(1)).not.toEqual(draw(2))
  const numbers = draw('even')
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.04)
  const counts = new Map<number, number>()
  for (const byte of createSeededRandom(1).bytes(25_600)) counts.set(byte, (counts.get(byte) ?? 0) + 1)
  expect(counts.size).toBe(256)
  expect(Math.max(...counts.values())).toBeLessThan(160)
})

test('the scheduler lets one go at a time and counts the turns', async () => {
  const scheduler = createSeededScheduler(createSeededRandom(3))
  const order: number[] = []
  const task = async (number: number): Promise<void> => {
    await scheduler.turn()
    order.push(number)
    await scheduler.turn()
    order.push(number)
  }
  const tasks = [1, 2, 3].map(task)
  expect(await scheduler.run({ maxTurns: 2 })).toBe(2)
  expect(order).toHaveLength(2)
  expect(scheduler.waiting).toBe(3)
  expect(await scheduler.run()).toBe(4)
  await Promise.all(tasks)
  expect(order.toSorted()).toEqual([1, 1, 2, 2, 3, 3])
  const reason = new Error('enough')
  const controller = new AbortController()
  const turn = scheduler.turn({ signal: controller.signal })
  controller.abort(reason)
  expect(await assertRejects(turn, 'turn')).toBe(reason)
  expect(await scheduler.run()).toBe(0)
})

test('the assertions of the suites fail when they should', async () => {
  expect(() => assert(false, 'no')).toThrow('no')
  expect(() => assertEqual(Uint8Array.of(1), Uint8Array.of(2), 'bytes')).toThrow(/bytes: expected 1 bytes 02/)
  expect(() => assertEqual<unknown>([1, { a: 2 }], [1, { a: 3 }], 'values')).toThrow('values')
  expect(() => assertEqual<unknown>({ a: 1 }, { a: 1, b: undefined }, 'keys')).toThrow('keys')
  expect(() => assertEqual<unknown>([], {}, 'kinds')).toThrow('kinds')
  expect(() => assertEqual<unknown>(Uint8Array.of(1), [1], 'types')).toThrow('types')
  assertEqual<unknown>([1, { a: [Number.NaN] }], [1, { a: [Number.NaN] }], 'equal')
  await expect(assertRejects(Promise.resolve(7), 'call')).rejects.toThrow('call: expected a rejection, got 7')
  const wrong = Promise.reject(new KwaaiError('ERR_TOY_LOST', 'x'))
  await expect(assertRejectsWith(wrong, ['ERR_TOY_BROKEN'], 'call')).rejects.toThrow('got ERR_TOY_LOST')
  const plain = Promise.reject(new Error('x'))
  await expect(assertRejectsWith(plain, 'ERR_TOY_BROKEN', 'call')).rejects.toThrow('got Error: x')
})

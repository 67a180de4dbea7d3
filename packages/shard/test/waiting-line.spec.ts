import { KwaaiError } from '@kwaai/interface'
import { createFakeClock } from '@kwaai/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createWaitingLine } from '../src/generate/waiting-line.ts'

function setUp(maxActive: number, maxWaiting: number) {
  const clock = createFakeClock()
  const line = createWaitingLine({ maxActive, maxWaiting, retryAfterMs: 250 }, { clock })
  /** Who was let in, in order. */
  const admitted: string[] = []
  const refused: [string, unknown][] = []
  const leaves: (() => void)[] = []
  const enter = async (name: string, caller = name, signal?: AbortSignal): Promise<void> => {
    try {
      leaves.push(await line.enter(caller, signal === undefined ? {} : { signal }))
      admitted.push(name)
    } catch (error) {
      if (KwaaiError.is(error)) expect(error.details['queueFull']).toBe(true)
      refused.push([name, KwaaiError.is(error) ? error.details['retryAfterMs'] : error])
    }
  }
  const turn = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await Promise.resolve()
  }
  /** Gives back the oldest place. */
  const leave = async (): Promise<void> => {
    leaves.shift()?.()
    await turn()
  }
  return { clock, admitted, refused, enter, leave, leaves, turn }
}

test('callers take turns, however many of those who wait are theirs', async () => {
  const { enter, leave, admitted, turn } = setUp(1, 10)
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2']) void enter(name, name[0])
  await turn()
  for (let i = 0; i < 6; i++) await leave()
  expect(admitted).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4'])
})

test('a full line refuses, with the time its turn would take', async () => {
  const { clock, enter, leave, refused, turn } = setUp(2, 2)
  for (const name of ['a', 'b', 'c', 'd', 'e']) void enter(name)
  await turn()
  expect(refused).toEqual([['e', 250]])
  await clock.advance(3_000)
  await leave()
  // Three seconds a turn, two places, and two before it.
  for (const name of ['f', 'g']) void enter(name)
  await turn()
  expect(refused.slice(1)).toEqual([['g', 4_500]])
})

test('in a full line who waits most makes place for who has fewer', async () => {
  const { enter, leave, admitted, refused, turn } = setUp(1, 3)
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2']) {
    void enter(name, name[0])
    await turn()
  }
  expect(refused.map(([name]) => name)).toEqual(['a4', 'b2'])
  for (let i = 0; i < 3; i++) await leave()
  expect(admitted).toEqual(['a1', 'a2', 'b1', 'a3'])
})

test('an abort leaves the line at once, and nobody loses a turn by it', async () => {
  const { enter, leave, admitted, refused, turn } = setUp(1, 3)
  const controller = new AbortController()
  const reason = new Error('enough')
  void enter('a')
  void enter('b', 'b', controller.signal)
  void enter('c')
  await turn()
  controller.abort(reason)
  await turn()
  expect(refused).toEqual([['b', reason]])
  await leave()
  expect(admitted).toEqual(['a', 'c'])
  void enter('d', 'd', controller.signal)
  await turn()
  expect(refused.at(-1)).toEqual(['d', reason])
})

test('a place given back twice is one place', async () => {
  const { enter, leaves, admitted, turn } = setUp(1, 3)
  for (const name of ['a', 'b', 'c']) void enter(name)
  await turn()
  const [leave] = leaves
  leave?.()
  leave?.()
  await turn()
  expect(admitted).toEqual(['a', 'b'])
})

test('whatever happens, places and line keep their bounds, and everybody is let in or refused', async () => {
  const event = fc.oneof(
    fc.record({ type: fc.constant('enter' as const), caller: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ type: fc.constant('abort' as const), which: fc.nat() }),
    fc.record({ type: fc.constant('leave' as const) })
  )
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
      const { enter, leave, admitted, refused, turn } = setUp(2, 4)
      const controllers: AbortController[] = []
      let left = 0
      for (const one of events) {
        if (one.type === 'enter') {
          const controller = new AbortController()
          controllers.push(controller)
          void enter(`${controllers.length}`, one.caller, controller.signal)
        } else if (one.type === 'leave' && left < admitted.length) {
          left++
          await leave()
        } else if (one.type === 'abort' && controllers.length > 0) {
          controllers[one.which % controllers.length]?.abort(new Error('gone'))
        }
        await turn()
        const active = admitted.length - left
        const waiting = controllers.length - admitted.length - refused.length
        expect(active).toBeLessThanOrEqual(2)
        expect(waiting).toBeLessThanOrEqual(4)
        if (waiting > 0) expect(active).toBe(2)
      }
      while (left < admitted.length) {
        left++
        await leave()
      }
      expect(admitted.length + refused.length).toBe(controllers.length)
    }),
    { numRuns: 200 }
  )
})

test('who had a place lets the others go first, and is never refused another', async () => {
  const clock = createFakeClock()
  const line = createWaitingLine({ maxActive: 1, maxWaiting: 1, retryAfterMs: 10 }, { clock })
  const { enter } = line
  const order: string[] = []
  const leave = await enter('a')
  expect(await line.again('a', leave)).toBe(leave)
  const b = enter('b').then((done) => (order.push('b'), done))
  // The line is full, but not for who had a place.
  const again = line.again('a', leave).then((done) => (order.push('a'), done))
  const leaveB = await b
  expect(line.waiting).toBe(1)
  expect(line.tryEnter()).toBe(undefined)
  // It does not count among those that may wait, nor does it make place for others.
  const c = enter('c').then((done) => (order.push('c'), done))
  await expect(enter('d')).rejects.toMatchObject({ code: 'ERR_MODEL_UNAVAILABLE' })
  leaveB()
  ;(await again)()
  ;(await c)()
  expect(order).toEqual(['b', 'a', 'c'])
  expect(line.waiting).toBe(0)
  const free = line.tryEnter()
  expect(free).toBeTypeOf('function')
  expect(line.tryEnter()).toBe(undefined)
  free?.()
  free?.()
  line.tryEnter()?.()
})

test('an abort while others go first leaves no place taken', async () => {
  const line = createWaitingLine(
    { maxActive: 1, maxWaiting: 4, retryAfterMs: 10 },
    { clock: createFakeClock() }
  )
  const controller = new AbortController()
  const reason = new Error('gone')
  const leave = await line.enter('a')
  const b = line.enter('b')
  const again = line.again('a', leave, { signal: controller.signal })
  const leaveB = await b
  controller.abort(reason)
  await expect(again).rejects.toBe(reason)
  leave()
  leaveB()
  expect(line.waiting).toBe(0)
  const one = line.tryEnter()
  expect(one).toBeTypeOf('function')
  expect(line.tryEnter()).toBe(undefined)
})

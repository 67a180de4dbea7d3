import { deadlineSignal, type Clock } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { expect, test, vi } from 'vitest'

/** A clock with one sleeper, woken by hand. */
function handClock(): Clock & { wake: () => Promise<void>; sleeping: () => boolean } {
  let sleeper: (() => void) | undefined
  return {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_, { signal } = {}) =>
      new Promise((resolve, reject) => {
        sleeper = resolve
        signal?.addEventListener('abort', () => {
          sleeper = undefined
          reject(signal.reason)
        })
      }),
    wake: async () => {
      sleeper?.()
      await Promise.resolve()
    },
    sleeping: () => sleeper !== undefined
  }
}

test('a deadline aborts with its reason', async () => {
  const clock = handClock()
  const late = new Error('late')
  const { signal } = deadlineSignal(clock, 10, () => late)
  expect(signal.aborted).toBe(false)
  await clock.wake()
  expect(signal.reason).toBe(late)
})

test('the signal of the caller is first', async () => {
  const clock = handClock()
  const caller = new AbortController()
  const { signal } = deadlineSignal(clock, 10, () => new Error('late'), caller.signal)
  const reason = new Error('enough')
  caller.abort(reason)
  expect(signal.reason).toBe(reason)
  expect(clock.sleeping()).toBe(false)
})

test('a cleared deadline never aborts and leaves no timer', async () => {
  const clock = handClock()
  const { signal, clear } = deadlineSignal(clock, 10, () => new Error('late'))
  expect(clock.sleeping()).toBe(true)
  clear()
  expect(clock.sleeping()).toBe(false)
  await clock.wake()
  expect(signal.aborted).toBe(false)
})

test('the clock of the system runs, sleeps, and ends a sleep with the reason of its signal', async () => {
  const before = systemClock.monotonic()
  await systemClock.sleep(1)
  expect(systemClock.monotonic()).toBeGreaterThan(before)
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(10_000)
  const reason = new Error('enough')
  await expect(systemClock.sleep(100_000, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const controller = new AbortController()
  const sleep = systemClock.sleep(100_000, { signal: controller.signal })
  controller.abort(reason)
  await expect(sleep).rejects.toBe(reason)
})

test('the randomness of the system fills bytes and stays in [0, 1)', () => {
  expect(systemRandom.bytes(32)).toHaveLength(32)
  expect(systemRandom.bytes(32)).not.toEqual(systemRandom.bytes(32))
  const numbers = Array.from({ length: 1000 }, () => systemRandom.next())
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  // Five standard deviations of the mean of a thousand: 5 / sqrt(12 * 1000).
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.046)
})

test('the clock of this machine takes a moment that is past for now', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout')
  try {
    await systemClock.sleep(-4.9)
    expect(timers.mock.calls.map(([, ms]) => ms)).toEqual([0])
  } finally {
    timers.mockRestore()
  }
})

import { createFakeClock } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { createRateLimits, durationText } from '../src/rate-limits.ts'
import type { ApiKey, KeyLimits } from '../src/keys.ts'

const key = (limits: KeyLimits, id = 'key_1'): ApiKey => ({
  id,
  name: 'x',
  models: 'all',
  limits,
  createdAt: 0
})

test('whatever the rhythm of its requests, a key gets a burst of a minute and then its rate', async () => {
  for (const stepMs of [1, 77, 1000, 4321]) {
    const clock = createFakeClock()
    const limits = createRateLimits({ retryAfterMs: 1000 }, { clock })
    const one = key({ requestsPerMinute: 60 })
    let passed = 0
    const totalMs = 200 * stepMs
    for (let at = 0; at <= totalMs; at += stepMs) {
      for (let burst = 0; burst < 70; burst++)
        try {
          limits.request(one)
          passed += 1
        } catch {
          break
        }
      await clock.advance(stepMs)
    }
    expect(passed).toBe(60 + Math.floor((200 * stepMs) / 1000))
  }
})

test('who waits as long as he was told passes', async () => {
  const clock = createFakeClock()
  const limits = createRateLimits({ retryAfterMs: 1000 }, { clock })
  for (const perMinute of [1, 7, 60, 61, 1000]) {
    const one = key({ requestsPerMinute: perMinute }, `key_${perMinute}`)
    for (let i = 0; i < perMinute; i++) limits.request(one)
    const refused = (): { refusal: { headers: Record<string, string> } } => {
      try {
        limits.request(one)
      } catch (error) {
        return Object(error)
      }
      return expect.fail('it passed')
    }
    await clock.advance(Number(refused().refusal.headers['retry-after-ms']))
    limits.request(one)
    refused()
  }
})

test('keys at rest are forgotten, those that owe or run are not', async () => {
  const clock = createFakeClock()
  const limits = createRateLimits({ retryAfterMs: 1000 }, { clock })
  const tokens = { tokensPerMinute: 100 }
  limits.begin(key(tokens, 'debtor'))(1000)
  const end = limits.begin(key({ concurrent: 1 }, 'runner'))
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 900; i++) limits.request(key({ requestsPerMinute: 10 }, `key_${round}_${i}`))
    await clock.advance(60_000)
  }
  expect(limits.tracked()).toBeLessThanOrEqual(1_000)
  expect(() => limits.begin(key(tokens, 'debtor'))).toThrow('tokens a minute')
  expect(() => limits.begin(key({ concurrent: 1 }, 'runner'))).toThrow('answers at once')
  end(0)
  limits.begin(key({ concurrent: 1 }, 'runner'))
})

test('a lowered limit holds at once', () => {
  const limits = createRateLimits({ retryAfterMs: 1000 }, { clock: createFakeClock() })
  limits.request(key({ requestsPerMinute: 1000 }))
  limits.request(key({ requestsPerMinute: 1 }))
  expect(() => limits.request(key({ requestsPerMinute: 1 }))).toThrow('1 requests a minute')
})

test('an end that is told twice, or wrong, counts once or not at all', () => {
  const limits = createRateLimits({ retryAfterMs: 1000 }, { clock: createFakeClock() })
  const one = key({ tokensPerMinute: 100, concurrent: 2 })
  const end = limits.begin(one)
  end(30)
  end(30)
  for (const odd of [Number.NaN, -50, 0]) limits.begin(one)(odd)
  expect(limits.headers(one)['x-ratelimit-remaining-tokens']).toBe('70')
})

test.each([
  [0, '0s'],
  [0.2, '1ms'],
  [120, '120ms'],
  [1000, '1s'],
  [1400, '1.4s'],
  [59_999.2, '1m0s'],
  [360_000, '6m0s'],
  [3_600_000, '1h0m0s']
])('%d ms is %s', (ms, text) => {
  expect(durationText(ms)).toBe(text)
})

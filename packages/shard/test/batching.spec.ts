import { createSeededRandom } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import { simulate, type Batching, type SimulationInit, type SimulationResult } from './schedule-simulation.ts'

function run(
  batching: Batching,
  sessions: number,
  init: Partial<Omit<SimulationInit, 'random'>> = {}
): SimulationResult {
  return simulate({ batching, sessions, cores: 2, ms: 3_000, random: createSeededRandom(sessions), ...init })
}

describe('three servers on two cores, in a simulation of measured costs', () => {
  test('with one, two and three sessions, batching changes nothing', () => {
    for (const sessions of [1, 2, 3]) {
      expect(run('groups', sessions)).toEqual(run('none', sessions))
      expect(run('groups', sessions).longestHoldMs).toBe(0)
    }
  })

  test.each([4, 5, 6, 8, 12, 16])('%i sessions gain by it, and wait no longer than they may', (sessions) => {
    const none = run('none', sessions)
    const natural = run('natural', sessions)
    const groups = run('groups', sessions)
    expect(groups.tokensPerSecond).toBeGreaterThan(1.15 * natural.tokensPerSecond)
    expect(groups.tokensPerSecond).toBeGreaterThan(1.15 * none.tokensPerSecond)
    expect(groups.p95Ms).toBeLessThan(natural.p95Ms)
    expect(groups.cpuMs).toBeLessThan(natural.cpuMs)
    expect(groups.longestHoldMs).toBeLessThanOrEqual(10 + 1e-9)
    // The same sessions go together, so that a backend may use a graph again.
    expect(groups.rowsPerCall).toBeGreaterThan(0.95 * Math.min(8, sessions / 2))
    expect(groups.sameBatches).toBeGreaterThan(0.9)
  })

  test('eight sessions give more than 2.5 times the tokens of one', () => {
    const one = run('groups', 1).tokensPerSecond
    expect(run('groups', 8).tokensPerSecond).toBeGreaterThan(3.5 * one)
  })

  test('a batch that may be held back for less is held back for less', () => {
    for (const maxHoldMs of [1, 3]) {
      expect(run('groups', 8, { maxHoldMs }).longestHoldMs).toBeLessThanOrEqual(maxHoldMs + 1e-9)
    }
  })

  test('where servers are mostly idle, far apart, nobody waits for others', () => {
    for (const sessions of [4, 8]) {
      const far = { cores: 3, hopMs: 10, jitterMs: 5 }
      expect(run('groups', sessions, far).medianMs).toBeLessThan(
        1.01 * run('natural', sessions, far).medianMs
      )
    }
  })
})

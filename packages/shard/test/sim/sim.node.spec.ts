import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { BlockRunner } from '@kwaai/interface'
import { hexToBytes } from '@noble/hashes/utils.js'
import { beforeAll, describe, expect, test } from 'vitest'
import { shardProtocol } from '../../src/constants.ts'
import { encodeFrame } from '../../src/session/index.ts'
import { createCalls } from './calls.ts'
import { faultKinds, mustSurvive } from './faults.ts'
import { journalText } from './journal.ts'
import { blockCount, hiddenSize, loadSimModel, type SimModel } from './model.ts'
import { readOptions } from './options.ts'
import { failureText, seedLine, storyText } from './report.ts'
import { runStory, type Run } from './run.ts'
import { modelHash } from './server-host.ts'
import { shrink } from './shrink.ts'
import { tellStory } from './story.ts'
import { faultsAt, faultsOf, smallStory } from './sweep.ts'

let model: SimModel
beforeAll(async () => {
  model = await loadSimModel()
})

/** Nothing is wrong, or the whole story is the message. */
function expectToHold(run: Run): void {
  expect(run.violations, storyText(run, {}, false)).toEqual([])
}

describe('the chain in a world of faults', () => {
  const seeds = Array.from({ length: 20 }, (_, index) => index + 1)
  test.each(seeds)('seed %i', async (seed) => {
    expectToHold(await runStory(tellStory(seed), model))
  })
})

// The deep tier tries all of them; these have found something before, or are like those that have.
describe('one fault in a small story', () => {
  const every = (most: number, by: number): number[] =>
    Array.from({ length: Math.floor(most / by) }, (_, index) => 1 + index * by)

  test('of the middle server, at a frame or a call', async () => {
    for (const nth of every(36, 5)) {
      for (const fault of faultsOf('server-2a', nth))
        expectToHold(await runStory(smallStory(nth, [fault]), model))
    }
  })

  test('of the first server, at any moment', async () => {
    for (const at of every(150, 30)) {
      for (const fault of faultsAt('server-1a', at))
        expectToHold(await runStory(smallStory(at, [fault]), model))
    }
  })
})

describe('the simulation itself', () => {
  test('repeats to the byte, and another seed is another story', async () => {
    const [first, second, other] = [
      await runStory(tellStory(7), model),
      await runStory(tellStory(7), model),
      await runStory(tellStory(8), model)
    ]
    expect(journalText(second.entries)).toBe(journalText(first.entries))
    expect(other.fingerprint).not.toBe(first.fingerprint)
    expect(first.entries.length).toBeGreaterThan(100)
  })

  test('answers everything where nothing goes wrong', async () => {
    const run = await runStory(tellStory(3, { kinds: [] }), model)
    expectToHold(run)
    expect(new Set([...run.outcomes.values()].map(({ type }) => type))).toEqual(new Set(['ok']))
  })

  test('chooses every kind of fault, and stories that must and that need not survive', () => {
    const stories = Array.from({ length: 300 }, (_, seed) => tellStory(seed))
    const kinds = new Set(stories.flatMap(({ faults }) => faults.map(({ kind }) => kind)))
    expect([...kinds].toSorted()).toEqual(Object.keys(faultKinds).toSorted())
    const survivors = stories.filter(({ survives }) => survives)
    expect(survivors.length).toBeGreaterThan(100)
    expect(survivors.length).toBeLessThan(280)
  })
})

describe('what must never be is found:', () => {
  /** A model with something wrong at the servers: the undisturbed run takes all blocks at once. */
  const sabotaged = (change: (runner: BlockRunner) => BlockRunner): SimModel => ({
    ...model,
    runner: (range) => {
      const runner = model.runner(range)
      return range.to - range.from === blockCount ? runner : change(runner)
    }
  })
  const found = (run: Run): string[] => [...new Set(run.violations.map(({ what }) => what))]

  test('a single bit, and the story shrinks to what it takes', async () => {
    const flipped = sabotaged((runner) => ({
      ...runner,
      forward: async (steps, options) => {
        const results = await runner.forward(steps, options)
        for (const [index, result] of results.entries()) {
          if (!(result instanceof Float32Array) || (steps[index]?.past ?? 0) < 5) continue
          const words = new Uint32Array(result.buffer, result.byteOffset)
          words[3] = (words[3] as number) ^ 1
        }
        return results
      }
    }))
    const options = { generations: new Set(['1.1', '1.3', '3.1']) }
    const run = await runStory(tellStory(6, options), flipped)
    expect(found(run).some((what) => what.startsWith('wrong bits in call'))).toBe(true)
    const small = await shrink(run, options, flipped)
    expect([small.run.story.faults.length, small.run.outcomes.size]).toEqual([0, 1])
    const text = failureText(run, small, false)
    const [id] = small.run.outcomes.keys()
    expect(text).toContain(`again: pnpm sim --seed 6 --only none --generations ${id} --verbose`)
    expect(text).toMatch(/expected {2}-?\d+\.\d+.* in row \d+, value \d+\n {4}got {7}-?\d+\.\d+/)
    expect(seedLine(run)).toContain('WRONG')
  })

  test('a kernel that gets lost', async () => {
    const lost = sabotaged((runner) => ({
      ...runner,
      forward: (steps, options) =>
        runner.forward(
          steps.map((step) => ({ ...step, kernel: 'vec' })),
          options
        )
    }))
    const run = await runStory(smallStory(1, []), lost)
    expect(found(run).some((what) => what.startsWith('wrong bits'))).toBe(true)
  })

  test('an error where there is no excuse for one', async () => {
    const twins = ['server-2a', 'server-2b']
    const dead = twins.map((peer) => ({ kind: 'kill' as const, peer, at: 60, ms: 0 }))
    const run = await runStory({ ...smallStory(3, dead), survives: true }, model)
    expect(found(run)).toEqual(['no answer'])
  })

  test('a rejection that nobody handles', async () => {
    const careless = sabotaged((runner) => ({
      ...runner,
      close: async (session) => {
        void Promise.reject(new Error('Nobody looks'))
        await runner.close(session)
      }
    }))
    const run = await runStory(smallStory(3, []), careless)
    expect(run.violations[0]?.got).toContain('Nobody looks')
  })

  test('a session that is kept, and a timer', async () => {
    const run = await runStory(smallStory(3, []), model, {
      besides: async (world) => {
        const stranger = await world.process('stranger')
        const channel = await stranger.network.open(world.peerOf('server-1a'), shardProtocol)
        const session = new Uint8Array(16).fill(1)
        const open = { session, model: hexToBytes(modelHash), to: 1, maxTokens: 8, residual: 'f32' }
        await channel.send(encodeFrame({ case: 'open', value: open }))
        await stranger.clock.sleep(1_000_000)
      }
    })
    expect(run.violations.map(({ who, what, got }) => [who, what, got.replace(/\d+/g, 'n')])).toEqual([
      ['server-1a', 'what is left', 'n sessions, n kvBytes, n held'],
      ['world', 'timers', 'stranger in n ms']
    ])
  })

  test('rows for somebody who has not confirmed', async () => {
    const run = await runStory(smallStory(3, []), model, {
      besides: async (world) => {
        const stranger = await world.process('stranger')
        const channel = await stranger.network.open(world.peerOf('server-1a'), shardProtocol)
        const step = { session: new Uint8Array(16), step: 1, to: 1, rows: 1, kernel: 'vec', wanted: 'none' }
        await channel.send(encodeFrame({ case: 'step', value: step }, new Uint8Array(4 * hiddenSize)))
        await channel.close()
      }
    })
    expect(found(run)).toEqual(['rows for server-1a'])
  })

  test('a call that is late, but for the time its client stood still', async () => {
    const time = { now: 0, stalled: 0 }
    const calls = createCalls({ ms: () => time.now, stalledMs: () => time.stalled })
    const call = { client: 'client-1', who: '1.1', what: 'call 1', limitMs: 1_000 }
    void calls.within(call, new Promise(() => undefined))
    time.now = 1_100
    expect(calls.late()).toBeUndefined()
    Object.assign(time, { now: 5_000, stalled: 4_000 })
    expect(calls.late()).toBeUndefined()
    time.now = 5_101
    expect(calls.late()).toMatchObject({ who: '1.1', what: 'call 1' })
    calls.forget('client-1')
    expect([calls.late(), calls.open()]).toEqual([undefined, []])
  })
})

describe('a story has to survive', () => {
  const servers = [
    { name: 'a', from: 0, to: 2 },
    { name: 'b', from: 0, to: 2 },
    { name: 'c', from: 2, to: 4 },
    { name: 'd', from: 1, to: 4 }
  ]
  const kill = (peer: string) => ({ id: 1, kind: 'kill' as const, peer, at: 1, ms: 0 })
  test.each([
    ['without faults', [], true],
    ['while a span has a server untouched', [kill('a')], true],
    ['not when both twins are touched', [kill('a'), kill('b')], false],
    ['not when the only server of a span is touched', [kill('c')], false],
    ['not when what is left does not fit together', [kill('c'), kill('d')], false],
    ['not when a client is touched', [kill('client-1')], false],
    ['when a client gives up', [{ id: 1, kind: 'cancel' as const, peer: 'client-1', at: 1 }], true],
    ['not without the record store', [{ id: 1, kind: 'records' as const, at: 1, ms: 1 }], false]
  ])('%s', (_, faults, expected) => {
    expect(mustSurvive(servers, faults, 4)).toBe(expected)
  })
})

describe('the command line', () => {
  test('is read', () => {
    expect(readOptions([])).toMatchObject({ from: 1, to: 1, verbose: false, json: false })
    expect(readOptions(['--seeds', '3..9', '--json'])).toMatchObject({ from: 3, to: 9, json: true })
    expect(readOptions(['--', '--seed', '3', '--faults', 'kill,drop', '--only', '2,5'])).toMatchObject({
      from: 3,
      to: 3,
      kinds: ['kill', 'drop'],
      faults: new Set([2, 5])
    })
    expect(readOptions(['--seed', '3', '--only', 'none', '--generations', '1.2'])).toMatchObject({
      faults: new Set(),
      generations: new Set(['1.2'])
    })
    expect(readOptions(['--seed', '3', '--until-failure'])).toMatchObject({ from: 3, untilFailure: true })
    expect(readOptions(['--seed', '3', '--help'])).toBe('help')
  })

  test.each([
    [['--seed', 'x']],
    [['--seed', '-1']],
    [['--seeds', '9..3']],
    [['--seeds', '1..2..3']],
    [['--seed', '1', '--seeds', '1..2']],
    [['--faults', 'rain']],
    [['--rain']],
    [['7']]
  ])('%j is refused', (args) => {
    expect(() => readOptions(args)).toThrow()
  })

  test(
    'ends with status 0 where a seed holds, and with 2 for a wrong option',
    { timeout: 60_000 },
    async () => {
      const main = fileURLToPath(new URL('main.ts', import.meta.url))
      const run = (...args: string[]): Promise<[unknown, string]> =>
        new Promise((resolve) => {
          execFile(process.execPath, ['--conditions=kwaai:source', main, ...args], (error, out, err) =>
            resolve([error?.code ?? 0, out + err])
          )
        })
      const [held, line] = await run('--seed', '3')
      expect([held, line]).toEqual([0, expect.stringMatching(/^ +seed .*\n +3 {2}\d+ ok/)])
      const [refused, text] = await run('--seed', 'rain')
      expect([refused, text]).toEqual([2, '"rain" is no whole number\nSee pnpm sim --help.\n'])
    }
  )
})

// Three ways in which sharded inference gave wrong tokens without a word in systems before this one:
// overlapping ranges, a new server that takes over with an empty cache, and a retry of a step that was done.
import { macrotask } from '@kwaai/testing'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { createStepLedger, type LedgerStep } from '../src/session/index.ts'
import {
  alone,
  answerOf,
  createStage,
  hiddenSize,
  keyOf,
  rawCaller,
  rowsOf,
  stepBody,
  type Stage
} from './session-kit.ts'

let stage: Stage
afterEach(() => stage.stop())

const blocks = { from: 0, to: 6 }
const open = (seed = 1): ReturnType<typeof rawCaller> =>
  rawCaller(stage.client, stage.hosts[0]!, { ...blocks, session: keyOf(seed) })

describe('overlapping ranges', () => {
  test('a server never runs blocks the request does not name', async () => {
    stage = await createStage([0, 6])
    // [0, 4) elsewhere and [3, 6) wanted here: the server has [0, 6).
    for (const wanted of [
      { from: 3, to: 6 },
      { from: 0, to: 4 },
      { from: 0, to: 12 }
    ]) {
      const caller = await rawCaller(stage.client, stage.hosts[0]!, { ...wanted, session: keyOf(wanted.to) })
      expect(answerOf(caller.first)).toBe('ERR_SHARD_RANGE_MISMATCH')
    }
    const caller = await open()
    expect(answerOf(await caller.step({ step: 1, past: 0, from: 3, hidden: rowsOf(1, 1) }))).toBe(
      'ERR_SHARD_RANGE_MISMATCH'
    )
    expect(stage.runners[0]?.rows).toBe(0)
  })
})

describe('a server that takes over', () => {
  test('refuses to go on from rows it does not hold', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    expect(answerOf(await caller.step({ step: 1, past: 7, hidden: rowsOf(1, 1) }))).toBe('ERR_SHARD_STEP_GAP')
    expect(stage.runners[0]?.rows).toBe(0)
  })
})

describe('a retry after the step was done', () => {
  const story = [
    { step: 1, past: 0, hidden: rowsOf(4, 1) },
    { step: 2, past: 4, hidden: rowsOf(1, 2) },
    { step: 3, past: 5, hidden: rowsOf(1, 3) }
  ]
  const truth = (): Promise<Float32Array[]> =>
    alone(
      6,
      story.map((step) => ({ ...step, kernel: 'vec' as const }))
    )

  test('gets the same rows and adds nothing to the cache', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    const expected = await truth()
    for (const [index, step] of story.entries()) {
      expect(answerOf(await caller.step(step))).toEqual(expected[index])
      expect(answerOf(await caller.step(step))).toEqual(expected[index])
    }
    expect(stage.runners[0]?.rows).toBe(6)
  })

  test('that comes late does not take later rows away', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    const expected = await truth()
    await caller.step(story[0]!)
    await caller.step(story[1]!)
    expect(answerOf(await caller.step(story[0]!))).toEqual(expected[0])
    expect(answerOf(await caller.step(story[2]!))).toEqual(expected[2])
  })

  test('with other content is refused and changes nothing', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    const expected = await truth()
    await caller.step(story[0]!)
    await caller.step(story[1]!)
    for (const other of [
      { ...story[1]!, hidden: rowsOf(1, 99) },
      { ...story[1]!, past: 3 },
      { ...story[1]!, hidden: rowsOf(2, 2) },
      { ...story[1]!, kernel: 'tile' },
      { ...story[0]!, wanted: 'last' }
    ]) {
      expect(answerOf(await caller.step(other))).toBe('ERR_SHARD_STEP_CONFLICT')
    }
    expect(answerOf(await caller.step(story[2]!))).toEqual(expected[2])
  })

  test('whose result is not kept any more is refused and changes nothing', async () => {
    // Room for about two single rows, in and out.
    stage = await createStage([0, 6], { maxKeptBytes: 4 * hiddenSize * 4 })
    const caller = await open()
    const expected = await truth()
    await caller.step(story[0]!)
    await caller.step(story[1]!)
    expect(answerOf(await caller.step(story[0]!))).toBe('ERR_SHARD_STEP_STALE')
    expect(answerOf(await caller.step(story[1]!))).toEqual(expected[1])
    expect(answerOf(await caller.step(story[2]!))).toEqual(expected[2])
  })

  test('of a step before a roll-back answers as then; the roll-back is a step of its own', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    const expected = await truth()
    for (const step of story) await caller.step(step)
    const back = { step: 4, past: 4, hidden: rowsOf(1, 9) }
    const rolled = answerOf(await caller.step(back))
    expect(answerOf(await caller.step(story[2]!))).toEqual(expected[2])
    expect(answerOf(await caller.step(back))).toEqual(rolled)
    const [, , next] = await alone(6, [
      { ...story[0]!, kernel: 'vec' },
      { ...back, kernel: 'vec' },
      { past: 5, hidden: rowsOf(1, 10), kernel: 'vec' }
    ])
    expect(answerOf(await caller.step({ step: 5, past: 5, hidden: rowsOf(1, 10) }))).toEqual(next)
  })

  test('while it runs is answered once, with the rows of one run', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    const expected = await truth()
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    for (const step of [story[0]!, story[0]!, story[1]!]) {
      await caller.send(stepBody(keyOf(1), { ...blocks, ...step }), step.hidden)
    }
    await macrotask()
    stage.runners[0]!.before = () => undefined
    free()
    expect(answerOf(await caller.next())).toEqual(expected[0])
    expect(answerOf(await caller.next())).toEqual(expected[1])
    expect(stage.runners[0]?.rows).toBe(5)
  })

  test('in whatever order frames come, again or not: the right rows or a typed refusal', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 25 }),
        async (order) => {
          stage = await createStage([0, 6])
          const caller = await open()
          // Step 5 rolls back; the right rows of each step, given all before it.
          const pasts = [0, 3, 4, 5, 3, 4, 5]
          const steps = pasts.map((past, index) => ({ past, hidden: rowsOf(past === 0 ? 3 : 1, index) }))
          const expected = await alone(
            6,
            steps.map((step) => ({ ...step, kernel: 'vec' as const }))
          )
          let done = 0
          for (const number of order) {
            const answer = answerOf(await caller.step({ step: number, ...steps[number - 1]! }))
            if (number > done + 1) expect(answer).toBe('ERR_SHARD_STEP_GAP')
            else expect(answer).toEqual(expected[number - 1])
            done = Math.max(done, number === done + 1 ? number : 0)
          }
          await stage.stop()
        }
      ),
      { numRuns: 40, seed: 7 }
    )
  })
})

describe('the ledger', () => {
  const step = (
    number: number,
    past: number,
    rows: number,
    { seed = number, previous = number - 1 } = {}
  ): LedgerStep => ({
    step: number,
    previous,
    past,
    rows,
    kernel: 'vec',
    wanted: 'all',
    payload: new Uint8Array([seed])
  })

  test('holds within its limits whatever happens', () => {
    stage = { stop: async () => undefined } as Stage
    const action = fc.record({
      type: fc.constantFrom('admit', 'admit', 'admit', 'complete', 'undo'),
      back: fc.integer({ min: -3, max: 4 }),
      previous: fc.integer({ min: -1, max: 1 }),
      rows: fc.integer({ min: 1, max: 3 }),
      cut: fc.integer({ min: 0, max: 3 })
    })
    let ran = 0
    let undone = 0
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const ledger = createStepLedger({ maxTokens: 20, maxKeptSteps: 3, maxKeptBytes: 100 })
        const stateOf = (): Record<string, number> => ({
          last: ledger.last,
          length: ledger.length,
          pending: ledger.pending,
          done: ledger.done
        })
        // What was there before each admitted step, to compare with what is there once it is undone.
        const before = new Map<number, Record<string, number>>()
        for (const { type, back, previous, rows, cut } of actions) {
          const now = stateOf()
          const number = Math.max(1, ledger.last - back)
          if (type === 'complete') ledger.complete(number, new Float32Array(rows))
          else if (type === 'undo') {
            const known = ledger.pending > 0 && number > ledger.last - ledger.pending && before.get(number)
            const later = ledger.undo(number)
            for (const one of later) expect(one).toBeGreaterThan(number)
            if (known && ledger.last < number) {
              undone++
              expect(ledger.last).toBe(known['last'])
            }
          } else {
            const after = ledger.last + (back > 0 ? 0 : previous)
            let verdict = ''
            try {
              const past = Math.max(0, ledger.length - cut)
              verdict = ledger.admit(step(number, past, rows, { previous: after })).type
            } catch {
              verdict = 'refused'
            }
            // Only a step that comes right after the last one changes anything, whatever its number.
            if (verdict === 'run') {
              ran++
              before.set(number, now)
              expect(number).toBeGreaterThan(now['last'] as number)
              expect(after).toBe(now['last'])
              expect(ledger.last).toBe(number)
            } else expect(stateOf()).toEqual(now)
          }
          expect(ledger.length).toBeLessThanOrEqual(20)
          expect(ledger.pending).toBeGreaterThanOrEqual(0)
          expect(ledger.pending).toBeLessThanOrEqual(ledger.last)
          expect(ledger.done).toBeLessThanOrEqual(ledger.last)
        }
      }),
      { numRuns: 400, seed: 11 }
    )
    expect(Math.min(ran, undone)).toBeGreaterThan(50)
  })

  test('forgets a failed step and all that built on it', () => {
    stage = { stop: async () => undefined } as Stage
    const ledger = createStepLedger({ maxTokens: 20, maxKeptSteps: 3, maxKeptBytes: 100 })
    ledger.admit(step(1, 0, 4))
    ledger.complete(1, new Float32Array(4))
    ledger.admit(step(2, 2, 3))
    ledger.admit(step(3, 5, 3))
    expect(ledger.undo(2)).toEqual([3])
    // Step 2 rolled back to 2 rows and may have trimmed already.
    expect([ledger.last, ledger.length, ledger.pending, ledger.done]).toEqual([1, 2, 0, 1])
    expect(ledger.admit(step(2, 2, 1, { seed: 77 })).type).toBe('run')
  })

  test('takes several old steps as one, and goes back to the number before when that one fails', () => {
    stage = { stop: async () => undefined } as Stage
    const ledger = createStepLedger({ maxTokens: 20, maxKeptSteps: 3, maxKeptBytes: 100 })
    ledger.admit(step(4, 0, 4, { previous: 0 }))
    ledger.complete(4, new Float32Array(4))
    expect(() => ledger.admit(step(9, 4, 3, { previous: 5 }))).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_STEP_GAP', details: { last: 4 } })
    )
    ledger.admit(step(9, 4, 3, { previous: 4 }))
    ledger.admit(step(12, 7, 1, { previous: 9 }))
    expect(ledger.undo(9)).toEqual([12])
    expect([ledger.last, ledger.length, ledger.pending, ledger.done]).toEqual([4, 4, 0, 4])
    // A number inside of what was merged is neither kept nor new.
    expect(() => ledger.admit(step(3, 4, 1, { previous: 2 }))).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_STEP_STALE' })
    )
  })
})

import type { RowKernel } from '@kwaai/interface'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createStepLog, type LoggedStep, type ResumedStep, type StepLog } from '../src/session/step-log.ts'

const rowBytes = 3
const maxOpenSteps = 4

/** Whoever gets the steps: refuses what a server refuses, and holds the rows with their kernels. */
interface Receiver {
  last: number
  rows: string[]
}

function take(receiver: Receiver, step: ResumedStep): void {
  expect(step.previous).toBe(receiver.last)
  expect(step.step).toBeGreaterThan(receiver.last)
  expect(step.past).toBeLessThanOrEqual(receiver.rows.length)
  expect(step.data.length).toBe(step.rows * rowBytes)
  receiver.last = step.step
  receiver.rows.length = step.past
  receiver.rows.push(...rowsOf(step))
}

function rowsOf({ data, rows, kernel }: LoggedStep): string[] {
  return Array.from(
    { length: rows },
    (_, row) => `${kernel} ${data.subarray(row * rowBytes, (row + 1) * rowBytes).join(' ')}`
  )
}

function stepOf(step: number, past: number, rows: number, kernel: RowKernel = 'vec'): LoggedStep {
  const data = Uint8Array.from({ length: rows * rowBytes }, (_, at) => (step * 31 + at * 7) % 251)
  return { step, past, rows, kernel, wanted: 'last', data }
}

type Action =
  | { type: 'append'; rows: number; back: number; kernel: RowKernel }
  | { type: 'answer'; steps: number }
  /** A receiver, or a new one, gets the first of the steps it lacks; perhaps from a log that was cut up otherwise. */
  | { type: 'serve'; receiver: number; steps: number; maxRows: number; relayed: boolean }

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      rows: fc.integer({ min: 1, max: 5 }),
      back: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 12 })),
      kernel: fc.constantFrom<RowKernel>('vec', 'vec', 'tile')
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('answer' as const), steps: fc.integer({ min: 1, max: 4 }) })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('serve' as const),
      receiver: fc.integer({ min: 0, max: 4 }),
      steps: fc.integer({ min: 1, max: 6 }),
      maxRows: fc.integer({ min: 1, max: 9 }),
      relayed: fc.boolean()
    })
  }
)

interface World {
  log: StepLog
  /** Rows that stand after each step, as they would if nothing was ever lost. */
  truth: Map<number, string[]>
  sent: LoggedStep[]
  receivers: Receiver[]
  answered: number
}

/** Serves one receiver the first `count` steps it lacks. */
function serve(
  log: StepLog,
  receiver: Receiver,
  world: World,
  maxRows: number,
  count = Infinity,
  relayRows = 0
): void {
  const { answered, sent } = world
  const admitted = receiver.last
  const steps = log.resume({ last: admitted, answered, maxRows })
  for (const step of steps.slice(0, count)) take(receiver, step)
  const open = steps.filter((step) => step.step > answered)
  // Every step without a result that it did not admit, as it was.
  expect(open).toMatchObject(sent.filter((step) => step.step > Math.max(answered, admitted)))
  for (const step of steps.filter((one) => one.step <= answered)) {
    expect(step.wanted).toBe('none')
    // Nothing larger than allowed, but for a step that was larger alone.
    if (step.rows > Math.max(maxRows, relayRows)) {
      expect(sent.some((one) => one.rows >= step.rows)).toBe(true)
    }
  }
}

/** What a server keeps that was itself served from the history: the same rows, in other steps. */
function relay(world: World, maxRows: number): StepLog {
  const log = createStepLog({ maxOpenSteps })
  for (const step of world.log.resume({ last: 0, answered: world.answered, maxRows })) log.append(step)
  return log
}

function play(actions: readonly Action[]): World {
  const world: World = {
    log: createStepLog({ maxOpenSteps }),
    truth: new Map([[0, []]]),
    sent: [],
    receivers: [],
    answered: 0
  }
  for (const one of actions) {
    const { log, truth, sent, receivers } = world
    if (one.type === 'append') {
      // The sender keeps to its window.
      world.answered = Math.max(world.answered, log.last + 1 - maxOpenSteps)
      const step = stepOf(log.last + 1, Math.max(0, log.length - one.back), one.rows, one.kernel)
      truth.set(step.step, [...(truth.get(log.last) ?? []).slice(0, step.past), ...rowsOf(step)])
      sent.push(step)
      log.append(step)
    } else if (one.type === 'answer') {
      world.answered = Math.min(log.last, world.answered + one.steps)
    } else {
      const receiver = (receivers[one.receiver] ??= { last: 0, rows: [] })
      const relayRows = one.relayed ? one.maxRows + 1 : 0
      const from = one.relayed ? relay(world, relayRows) : log
      serve(from, receiver, world, one.maxRows, one.steps, relayRows)
    }
  }
  return world
}

describe('a step log', () => {
  test('brings every receiver to the rows that stand, whatever it had', () => {
    let rollbacks = 0
    let resumed = 0
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        (actions, maxRows, relayed) => {
          const world = play(actions)
          const { log, truth, sent, receivers } = world
          const standing = truth.get(log.last)
          for (const receiver of [...receivers.filter(Boolean), { last: 0, rows: [] }]) {
            resumed += receiver.last > 0 && receiver.last < log.last ? 1 : 0
            serve(relayed ? relay(world, 4) : log, receiver, world, maxRows, Infinity, relayed ? 4 : 0)
            expect(receiver).toEqual({ last: log.last, rows: standing })
          }
          expect(log.length).toBe(standing?.length)
          rollbacks += sent.filter((step, index) => step.past < (truth.get(index)?.length ?? 0)).length
        }
      ),
      { numRuns: 1_000, seed: 3 }
    )
    expect(Math.min(rollbacks, resumed)).toBeGreaterThan(500)
  })

  test('holds no more than the rows that stand and what open steps took back', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const { log, sent } = play(actions)
        const open = sent.slice(-maxOpenSteps)
        const spare = open.reduce((rows, step) => rows + step.rows, 0)
        // Rows before the open steps, one of which may have taken all of them back.
        const before = Math.max(0, ...open.map((step) => step.past))
        expect(log.bytes).toBeLessThanOrEqual((before + spare) * rowBytes)
        expect(log.bytes).toBeGreaterThanOrEqual(log.length * rowBytes)
        // Open steps are there to be sent again.
        for (const step of open) expect(log.get(step.step)).toBe(step)
        expect(log.get(log.last + 1)).toBe(undefined)
      }),
      { numRuns: 300, seed: 4 }
    )
  })

  test('puts old steps together, a kernel at a time, and sends the open ones as they were', () => {
    const log = createStepLog({ maxOpenSteps })
    log.append(stepOf(1, 0, 40, 'tile'))
    log.append(stepOf(2, 40, 24, 'tile'))
    log.append(stepOf(3, 64, 1, 'tile'))
    for (let step = 4; step <= 10; step++) log.append(stepOf(step, 61 + step, 1))
    const shape = (request: Parameters<StepLog['resume']>[0]): unknown[] =>
      log
        .resume(request)
        .map(({ step, previous, past, rows, wanted }) => [step, previous, past, rows, wanted])
    expect(shape({ last: 0, answered: 8, maxRows: 64 })).toEqual([
      [2, 0, 0, 64, 'none'],
      [3, 2, 64, 1, 'none'],
      [8, 3, 65, 5, 'none'],
      [9, 8, 70, 1, 'last'],
      [10, 9, 71, 1, 'last']
    ])
    expect(shape({ last: 9, answered: 8, maxRows: 64 })).toEqual([[10, 9, 71, 1, 'last']])
    expect(shape({ last: 10, answered: 10, maxRows: 64 })).toEqual([])
    // Whoever claims to wait for more than may be open gets the rows without results.
    expect(shape({ last: 3, answered: 0, maxRows: 64 })).toEqual([
      [6, 3, 65, 3, 'none'],
      ...[7, 8, 9, 10].map((step) => [step, step - 1, 61 + step, 1, 'last'])
    ])
  })

  test('keeps the memory it is given and joins it only when it sends again', () => {
    const log = createStepLog({ maxOpenSteps })
    const steps = [stepOf(1, 0, 2), stepOf(2, 2, 1), stepOf(3, 3, 1)]
    for (const step of steps) log.append(step)
    expect(log.get(2)?.data).toBe(steps[1]?.data)
    const sentAgain = log.resume({ last: 0, answered: 0, maxRows: 64 })
    expect(sentAgain.map((step) => step.data)).toEqual(steps.map((step) => step.data))
    expect(sentAgain[0]?.data.buffer).toBe(steps[0]?.data.buffer)
  })

  test('gives a long history piece by piece, the same as at once', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), (actions, maxRows) => {
        const { log, answered } = play(actions)
        const pieces: ResumedStep[] = []
        for (let last = 0; ; last = pieces.at(-1)?.step ?? 0) {
          const [next, ...more] = log.resume({ last, answered, maxRows, maxSteps: 1 })
          if (next === undefined) break
          expect(more).toEqual([])
          pieces.push(next)
        }
        expect(pieces).toEqual(log.resume({ last: 0, answered, maxRows }))
      }),
      { numRuns: 300, seed: 6 }
    )
  })

  test('lets go of what was taken back where memory is short, never of a row that stands', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const { sent, truth } = play(actions)
        const most = Math.max(0, ...[...truth.values()].map((rows) => rows.length))
        const log = createStepLog({ maxOpenSteps, maxBytes: most * rowBytes })
        for (const step of sent) {
          log.append(step)
          expect(log.bytes).toBeLessThanOrEqual(most * rowBytes)
        }
        const receiver: Receiver = { last: 0, rows: [] }
        for (const step of log.resume({ last: 0, answered: log.last, maxRows: 4 })) take(receiver, step)
        expect(receiver.rows).toEqual(truth.get(log.last))
      }),
      { numRuns: 300, seed: 5 }
    )
  })
})

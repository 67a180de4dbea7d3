import type { Clock } from '@kwaai/interface'
import { findBadRow } from '../bad-row.ts'
import { replayRows } from '../constants.ts'
import type { Result } from '../gen/shard_pb.ts'
import { hopError, type HopLink } from './hop.ts'
import { bytesToRows } from './rows.ts'
import type { LoggedStep, ResumedStep, StepLog } from './step-log.ts'

/** A stretch of the chain that rows run through by themselves: the client feeds it and takes what comes out. */
export interface Run {
  /** Each hands its results to the next one; the last one answers the client. */
  links: HopLink[]
  /** What goes in, so that whoever replaces the first link can be given it again. */
  log: StepLog
  /** The last step the first link was given. */
  cursor: number
  /** The last step whose result is awaited, or was. */
  sent: number
  /** The last step whose result is there. */
  done: number
  /** Steps sent and not done, in order. */
  expected: Expected[]
  /** Results up to this step are fetched from what the last link keeps, whole and as they lie there. */
  fetchUntil: number
  /** When it last gave a result, or began to owe one, in milliseconds of the monotonic clock. */
  movedAt: number
  /** Milliseconds a step usually takes here; 0 while unknown. */
  usualMs: number
  /** The step for which everything was asked for again because a frame was lost. */
  askedFor: number
}

/** A step on its way. */
export interface Expected {
  step: ResumedStep
  wanted: LoggedStep['wanted']
  sentAt: number
}

/** What a flow asks for and tells. */
export interface FlowEvents {
  /** Milliseconds a step may still take. */
  budgetMs(step: number): number
  /** A step came out at the end, with the rows its caller wants. */
  finished(step: number, rows: Float32Array): void
  /** Fetches the results of a run after those that are done. */
  fetch(run: Run): void
}

/** Carries steps through runs, one after the other. */
export interface Flow {
  /** In the order of their blocks. */
  readonly runs: Run[]
  /** The highest step the caller has the result of. */
  readonly answered: number
  /** Gives the next step to a run. */
  feed(run: Run, step: ResumedStep): void
  /** Sends what the first link of a run lacks, as far as it has room. */
  pump(run: Run): void
  /** Takes the result of a step. */
  take(link: HopLink, result: Result, payload: Uint8Array): void
  /** Asks for the oldest result that is due again: a repeat harms nothing. */
  askAgain(run: Run): void
  /** A frame was lost on its way: asks for all results that are due again, once for the same oldest one. */
  askForAll(run: Run): void
  /** The run a link is part of. */
  runOf(link: HopLink): Run | undefined
  /** The step a link has to do with now, for errors. */
  stepAt(link: HopLink): number
}

/** A run that was given nothing yet. */
export function createRun(own: Pick<Run, 'links' | 'log'> & Partial<Run>): Run {
  const none = { cursor: 0, sent: 0, done: 0, expected: [], fetchUntil: 0 }
  return { ...none, movedAt: 0, usualMs: 0, askedFor: 0, ...own }
}

/** Makes a flow without runs. */
export function createFlow(
  init: { hiddenSize: number },
  components: { clock: Clock },
  events: FlowEvents
): Flow {
  const { hiddenSize } = init
  const { clock } = components
  const runs: Run[] = []

  /** The rows of the caller at the end, all rows before it, none where the result is there. */
  const wantedOf = (run: Run, step: LoggedStep): LoggedStep['wanted'] =>
    run === runs.at(-1) ? step.wanted : step.step <= run.done ? 'none' : 'all'

  const room = ({ links: [head] }: Run): boolean =>
    head !== undefined && head.lost === undefined && head.pending < head.opened.maxPendingSteps

  const send = (run: Run, step: ResumedStep): void => {
    const wanted = wantedOf(run, step)
    run.cursor = step.step
    if (step.step > run.sent) {
      const sentAt = clock.monotonic()
      if (run.done === run.sent) run.movedAt = sentAt
      run.sent = step.step
      run.expected.push({ step, wanted, sentAt })
    }
    run.links[0]?.send(step, wanted, events.budgetMs(step.step))
  }

  const sendAgain = (run: Run, { step, wanted }: Expected): void => {
    // One that is not fetched yet is on its way without the client.
    if (step.data.length > 0) run.links[0]?.send(step, wanted, events.budgetMs(step.step))
  }

  const invalid = (link: HopLink, why: string): void =>
    link.fail(hopError('ERR_SHARD_INVALID_RESULT', link.hop, flow.stepAt(link), why))

  /** The rows of a result that fits; the link is given up where they cannot be right. */
  const rowsOf = (link: HopLink, payload: Uint8Array): Float32Array | undefined => {
    const rows = bytesToRows(payload)
    const bad = findBadRow(rows, hiddenSize)
    if (bad === undefined) return rows
    invalid(link, `sent values no model makes in row ${bad.row}`)
    return undefined
  }

  const takeExpected = (link: HopLink, index: number, result: Result, payload: Uint8Array): void => {
    const run = runs[index] as Run
    const [first] = run.expected
    if (first === undefined) return invalid(link, 'answers a step nobody sent')
    // The result before it was lost on its way.
    if (result.step > first.step.step && result.step <= run.sent) return flow.askForAll(run)
    const wrong = checkResult(result, payload, first, hiddenSize)
    if (wrong !== undefined) return invalid(link, wrong)
    const rows = rowsOf(link, payload)
    if (rows === undefined) return
    run.expected.shift()
    run.done = result.step
    const now = clock.monotonic()
    const tookMs = now - Math.max(first.sentAt, run.movedAt)
    // One that was held up says little about the next one.
    run.usualMs = run.usualMs === 0 ? tookMs : 0.8 * run.usualMs + 0.2 * Math.min(tookMs, 4 * run.usualMs)
    run.movedAt = now
    count(run, first, result, now)
    const next = runs[index + 1]
    if (next === undefined) return events.finished(result.step, rows)
    const { step, past, rows: length, kernel, wanted } = first.step
    flow.feed(next, { step, previous: next.log.last, past, rows: length, kernel, wanted, data: payload })
  }

  const takeFetched = (link: HopLink, index: number, result: Result, payload: Uint8Array): void => {
    const run = runs[index] as Run
    const next = runs[index + 1]
    const { step, rows } = result
    const past = result.past - rows
    // Where that one put steps together and the log did not, or the other way round, the next one tells the kernel.
    const sent =
      run.log.get(step) ??
      run.log.resume({ last: step - 1, answered: flow.answered, maxRows: 1, maxSteps: 1 })[0]
    if (sent === undefined || next === undefined)
      return invalid(link, `answers step ${step}, which is not due`)
    if (past < 0 || payload.length !== 4 * rows * hiddenSize) return invalid(link, `sent no ${rows} rows`)
    // It went out before all rows were asked for, or one before it did.
    const partial = rows === 0 || (step > flow.answered && rows !== sent.rows)
    if (partial || past > next.log.length || step > run.fetchUntil) return flow.askForAll(run)
    if (rowsOf(link, payload) === undefined) return
    run.done = step
    while ((run.expected[0]?.step.step ?? Infinity) <= step) run.expected.shift()
    run.movedAt = clock.monotonic()
    const { kernel, wanted } = sent
    flow.feed(next, { step, previous: next.log.last, past, rows, kernel, wanted, data: payload })
    flow.pump(next)
  }

  const flow: Flow = {
    runs,
    get answered() {
      return runs.at(-1)?.done ?? 0
    },
    feed(run, step) {
      const next = run.cursor === run.log.last
      run.log.append(step)
      if (next && room(run)) return send(run, step)
      if (step.step > run.sent) return
      // It went in without the client and may have to be sent again by it.
      for (const one of run.expected) if (one.step.step === step.step) one.step = step
    },
    pump(run) {
      while (run.cursor < run.log.last && room(run)) {
        const request = { last: run.cursor, answered: flow.answered, maxRows: replayRows, maxSteps: 1 }
        const [step] = run.log.resume(request)
        if (step === undefined) return
        send(run, step)
      }
    },
    take(link, result, payload) {
      link.settle(result.step)
      const index = runs.findIndex((run) => run.links.at(-1) === link)
      const run = runs[index]
      // A replacement that is not part of the chain yet, or that does not answer the client any more.
      if (run === undefined) return
      // Steps that were run again to fill a cache have a result nobody waits for.
      if (result.step > run.done) {
        if (run.links[0] !== link) run.links[0]?.settle(result.step)
        if (run.done < run.fetchUntil) takeFetched(link, index, result, payload)
        else takeExpected(link, index, result, payload)
      }
      flow.pump(run)
    },
    askAgain(run) {
      const [first] = run.expected
      if (first !== undefined) sendAgain(run, first)
      if (run.done < run.fetchUntil) events.fetch(run)
    },
    askForAll(run) {
      if (run.askedFor === run.done + 1) return
      run.askedFor = run.done + 1
      for (const one of run.expected) sendAgain(run, one)
      if (run.done < run.fetchUntil) events.fetch(run)
    },
    runOf: (link) => runs.find((run) => run.links.includes(link)),
    stepAt(link) {
      const run = flow.runOf(link)
      return run === undefined ? 0 : (run.expected[0]?.step.step ?? run.done + 1)
    }
  }
  return flow
}

/** Adds what the servers say they did; the way between them is shared out evenly. */
function count({ links }: Run, { step, sentAt }: Expected, result: Result, now: number): void {
  const stamps = result.stamps.length === links.length - 1 ? result.stamps : []
  const own = links.map((_, index) => (index === links.length - 1 ? result : stamps[index]))
  const busyMs = own.reduce((sum, one) => sum + msOf(one), 0)
  const wayMs = Math.max(0, now - sentAt - busyMs) / links.length
  for (const [index, { stats }] of links.entries()) {
    stats.steps++
    stats.rows += step.rows
    stats.computeMs += (own[index]?.computeUs ?? 0) / 1000
    stats.queueMs += (own[index]?.queueUs ?? 0) / 1000
    stats.roundTripMs += wayMs + msOf(own[index])
  }
}

function msOf(stamp: { computeUs: number; queueUs: number } | undefined): number {
  return stamp === undefined ? 0 : (stamp.computeUs + stamp.queueUs) / 1000
}

/** What is wrong with a result, or nothing. */
function checkResult(
  result: Result,
  payload: Uint8Array,
  { step, wanted }: Expected,
  hiddenSize: number
): string | undefined {
  const rows = wanted === 'all' ? step.rows : wanted === 'last' ? 1 : 0
  if (result.step !== step.step) return `answers step ${result.step}`
  if (result.residual !== 'f32') return 'answers in another residual format'
  if (result.past !== step.past + step.rows) return `holds ${result.past} rows, not ${step.past + step.rows}`
  if (result.numericsClass !== '') return 'computed in another numerics class'
  if (result.rows !== rows || payload.length !== rows * hiddenSize * 4)
    return `sent ${result.rows} rows, not ${rows}`
  return undefined
}

import type { KvHandle, PeerId, RowKernel } from '@kwaai/interface'
import { createDecodePace } from './decode-pace.ts'
import { createFairQueue, type FairQueue } from './fair-queue.ts'

/** Rows of a step that counts as generating: a token, or a few guessed ones. Longer steps are prompts. */
export const maxDecodeRows = 8

/** The share of its time that a runner would compute if it took each row alone, from which on batches are held back. */
const worthwhileLoad = 0.6

/** What the scheduler knows of a step. */
export interface ScheduledStep {
  session: KvHandle
  /** Whose session it is. */
  peer: PeerId
  rows: number
  kernel: RowKernel
  /** When it is too late to begin, in milliseconds of the monotonic clock. */
  deadlineAt: number
}

/** How steps share calls of the runner. */
export interface ScheduleLimits {
  /** Steps of one call. */
  maxBatchSteps: number
  /** Rows of prompts of one call; a single step may have more. */
  maxPrefillRows: number
  /** Into how many batches the sessions that generate are divided. */
  decodeGroups: number
  /** Milliseconds a batch may be held back for those that belong to it; never longer than two batches take. */
  maxHoldMs: number
}

/** What to do next: run steps, fail one that is late, look again later, or nothing. */
export type Pick<S> =
  | { type: 'run'; steps: S[]; decode: boolean }
  | { type: 'late'; step: S }
  | { type: 'wait'; until: number }
  | { type: 'idle' }

/** Decides which steps share the next call of a runner. It has no clock and starts no timer. */
export interface Scheduler<S extends ScheduledStep> {
  /** Steps that wait. */
  readonly waiting: number
  add(step: S, now: number): void
  /** Asked whenever the runner is free. What it hands out waits no more. */
  pick(now: number): Pick<S>
  /** Told of the end of what `pick` said to run. */
  done(run: { steps: readonly S[]; decode: boolean }, computeMs: number, now: number): void
  /** Takes back the steps of a session, which then counts as new. */
  drop(session: KvHandle): S[]
}

/** The waiting steps of one session, of which only the first can run. */
interface Lane<S> {
  readonly session: KvHandle
  readonly peer: PeerId
  readonly steps: S[]
  /** Rows of the first step. */
  rows: number
  /** When the first step became the first. */
  readyAt: number
  /** How many calls with rows of prompts had ended then. */
  era: number
  queue: FairQueue<Lane<S>>
}

const idle: Pick<never> = { type: 'idle' }

/**
 * Continuous batching. Generated rows and rows of prompts take turns: a call holds either, at most
 * `maxPrefillRows` rows of prompts, and a generated row never waits behind two calls with rows of prompts.
 *
 * Sessions that generate are divided into `decodeGroups` batches, so that one is here while another is at the next
 * server of the chain. Nobody assigns them: a batch takes at most its share of the active sessions, waits for
 * a moment when one that is missing is due, and those that went together come back together.
 */
export function createScheduler<S extends ScheduledStep>(limits: ScheduleLimits): Scheduler<S> {
  const lanes = new Map<KvHandle, Lane<S>>()
  const decode = createFairQueue<Lane<S>>(1)
  const prefill = createFairQueue<Lane<S>>(limits.maxPrefillRows)
  const pace = createDecodePace()
  let waiting = 0
  let freeAt = 0
  /** No first step of a lane is late before this. */
  let lateAt = Infinity
  let prefills = 0
  /** Generating lanes that waited while rows of prompts ran. */
  let passed = 0
  let decodedSincePrefill = false

  const enqueue = (lane: Lane<S>, now: number): void => {
    const [first] = lane.steps
    if (first === undefined) return void lanes.delete(lane.session)
    lane.rows = first.rows
    lane.readyAt = now
    lane.era = prefills
    lane.queue = isDecode(first) ? decode : prefill
    lane.queue.push(lane)
    if (first.deadlineAt < lateAt) lateAt = first.deadlineAt
  }
  /** A lane has left the queue of generating ones. */
  const unpass = (lane: Lane<S>): void => {
    if (lane.queue === decode && lane.era < prefills) passed--
  }
  const waits = (session: KvHandle): boolean => lanes.get(session)?.queue === decode

  const findLate = (now: number): S | undefined => {
    if (now < lateAt) return undefined
    lateAt = Infinity
    for (const lane of lanes.values()) {
      const first = lane.steps[0] as S
      if (first.deadlineAt <= now) {
        lateAt = now
        lane.queue.remove(lane)
        unpass(lane)
        lane.steps.shift()
        waiting--
        enqueue(lane, now)
        return first
      }
      lateAt = Math.min(lateAt, first.deadlineAt)
    }
    return undefined
  }

  const run = (queue: FairQueue<Lane<S>>, items: number, rows: number, now: number): Pick<S> => {
    const taken = queue.take({ items, rows })
    const steps = taken.map((lane) => {
      unpass(lane)
      return lane.steps.shift() as S
    })
    waiting -= steps.length
    // Only now, so that no session goes twice.
    for (const lane of taken) enqueue(lane, now)
    // A backend may know a batch again by its sessions.
    steps.sort((a, b) => a.session - b.session)
    return { type: 'run', steps, decode: queue === decode }
  }

  /** Until when a batch that could still grow is held back; undefined when it should go now. */
  const holdUntil = (now: number, active: number, share: number): number | undefined => {
    // A runner that is idle half of the time gains nothing that is worth anybody's time.
    if (pace.load(active) < worthwhileLoad) return undefined
    const patienceMs = Math.min(limits.maxHoldMs, 2 * pace.batchMs(share))
    let since = Infinity
    for (const lane of decode) since = Math.min(since, lane.readyAt)
    const until = Math.max(since, freeAt) + patienceMs
    if (now >= until || lateAt <= until) return undefined
    return pace.expects(now, until, patienceMs, waits) ? until : undefined
  }

  return {
    get waiting() {
      return waiting
    },
    add(step, now) {
      waiting++
      if (isDecode(step)) pace.arrived(step.session, now)
      const lane = lanes.get(step.session)
      if (lane !== undefined) return void lane.steps.push(step)
      const { session, peer, rows } = step
      const made = { session, peer, steps: [step], rows, readyAt: now, era: prefills, queue: decode }
      lanes.set(session, made)
      enqueue(made, now)
    },
    pick(now) {
      if (waiting === 0) return idle
      const late = findLate(now)
      if (late !== undefined) return { type: 'late', step: late }
      if (prefill.size > 0 && (decode.size === 0 || (decodedSincePrefill && passed === 0))) {
        return run(prefill, limits.maxBatchSteps, limits.maxPrefillRows, now)
      }
      if (pace.sessions === 1) return run(decode, 1, maxDecodeRows, now)
      const active = pace.active(now, waits)
      const { decodeGroups, maxBatchSteps } = limits
      // Fewer than two for each batch go alone: two together take a third longer.
      const share = active < 2 * decodeGroups ? 1 : Math.min(maxBatchSteps, Math.ceil(active / decodeGroups))
      // Time spent waiting while there are prompts would be lost.
      if (decode.size < share && prefill.size === 0) {
        const until = holdUntil(now, active, share)
        if (until !== undefined) return { type: 'wait', until }
      }
      return run(decode, share, share * maxDecodeRows, now)
    },
    done(call, computeMs, now) {
      freeAt = now
      if (call.decode) {
        pace.computed(call.steps.length, computeMs)
        decodedSincePrefill = true
        return
      }
      prefills++
      passed = decode.size
      decodedSincePrefill = false
    },
    drop(session) {
      pace.forget(session)
      const lane = lanes.get(session)
      if (lane === undefined) return []
      lanes.delete(session)
      lane.queue.remove(lane)
      unpass(lane)
      waiting -= lane.steps.length
      return lane.steps
    }
  }
}

function isDecode(step: ScheduledStep): boolean {
  return step.kernel === 'vec' && step.rows <= maxDecodeRows
}

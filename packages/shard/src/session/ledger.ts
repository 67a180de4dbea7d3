import type { RowKernel } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { equalBytes } from './rows.ts'

/** What a step asks for, as the ledger compares it. */
export interface LedgerStep {
  step: number
  /** The step before it, 0 for none. */
  previous: number
  past: number
  rows: number
  kernel: RowKernel
  wanted: 'none' | 'last' | 'all'
  /** The rows as they came. */
  payload: Uint8Array
}

/** What to do with a step: run it, wait for the same one that is running, or answer with the kept rows. */
export type Verdict =
  | { type: 'run' }
  | { type: 'wait' }
  | { type: 'repeat'; result: Float32Array; length: number }

/** Limits of one session. */
export interface LedgerLimits {
  /** Rows the session may hold. */
  maxTokens: number
  /** Results kept for repeats. */
  maxKeptSteps: number
  /** Bytes of inputs and results kept for repeats. */
  maxKeptBytes: number
}

/**
 * The order of one session's steps. It decides, from numbers and content alone, whether a step is the next
 * one, a repeat, or neither; so that a repeat never touches the cache and a wrong step never runs.
 */
export interface StepLedger {
  /** Rows the cache holds once all admitted steps are done. */
  readonly length: number
  /** The highest step admitted. */
  readonly last: number
  /** The highest step done. */
  readonly done: number
  /** Steps admitted and not done. */
  readonly pending: number
  /**
   * @throws A KwaaiError `ERR_SHARD_STEP_GAP`, `ERR_SHARD_STEP_CONFLICT`, `ERR_SHARD_STEP_STALE` or
   * `ERR_SHARD_CONTEXT_EXCEEDED`.
   */
  admit(step: LedgerStep): Verdict
  /** Keeps the rows of a step for repeats. */
  complete(step: number, result: Float32Array): void
  /**
   * A step failed: it and all later ones count as never admitted.
   *
   * @returns the later ones.
   */
  undo(step: number): number[]
}

interface Entry {
  request: LedgerStep
  result?: Float32Array
}

/** Makes the ledger of a new session. */
export function createStepLedger(limits: LedgerLimits): StepLedger {
  // In the order of step numbers: those of admitted steps grow, and `undo` cuts from the end.
  const entries = new Map<number, Entry>()
  let last = 0
  let done = 0
  let length = 0
  let pending = 0
  let keptBytes = 0

  const bytesOf = (entry: Entry): number => entry.request.payload.byteLength + (entry.result?.byteLength ?? 0)

  const known = (step: LedgerStep): Verdict => {
    const entry = entries.get(step.step)
    if (entry === undefined) {
      throw shardError(
        'ERR_SHARD_STEP_STALE',
        `Cannot repeat step ${step.step}: it was done and its result is not kept any more`
      )
    }
    if (!sameContent(entry.request, step)) {
      throw shardError(
        'ERR_SHARD_STEP_CONFLICT',
        `Cannot run step ${step.step}: the same number was used for other rows`
      )
    }
    if (entry.result === undefined) return { type: 'wait' }
    return { type: 'repeat', result: entry.result, length: entry.request.past + entry.request.rows }
  }

  const evict = (): void => {
    let kept = entries.size - pending
    for (const [number, entry] of entries) {
      if (entry.result === undefined || (kept <= limits.maxKeptSteps && keptBytes <= limits.maxKeptBytes))
        return
      entries.delete(number)
      keptBytes -= bytesOf(entry)
      kept--
    }
  }

  return {
    get length() {
      return length
    },
    get last() {
      return last
    },
    get done() {
      return done
    },
    get pending() {
      return pending
    },
    admit(step) {
      if (step.step <= last) return known(step)
      if (step.previous !== last) {
        throw shardError(
          'ERR_SHARD_STEP_GAP',
          `Cannot run step ${step.step}: the last step here is ${last}, not ${step.previous}`,
          { details: { last } }
        )
      }
      if (step.past > length) {
        throw shardError(
          'ERR_SHARD_STEP_GAP',
          `Cannot run step ${step.step}: it counts on ${step.past} rows and the session holds ${length}`
        )
      }
      if (step.past + step.rows > limits.maxTokens) {
        throw shardError(
          'ERR_SHARD_CONTEXT_EXCEEDED',
          `Cannot run step ${step.step}: the session is open for ${limits.maxTokens} rows, not ${step.past + step.rows}`
        )
      }
      entries.set(step.step, { request: step })
      last = step.step
      length = step.past + step.rows
      pending++
      return { type: 'run' }
    },
    complete(step, result) {
      const entry = entries.get(step)
      if (entry === undefined || entry.result !== undefined) return
      entry.result = result
      done = step
      keptBytes += bytesOf(entry)
      pending--
      evict()
    },
    undo(step) {
      const first = entries.get(step)
      if (first === undefined) return []
      const later: number[] = []
      for (const [number, entry] of entries) {
        if (number < step) continue
        if (number > step) later.push(number)
        entries.delete(number)
        if (entry.result === undefined) pending--
        else keptBytes -= bytesOf(entry)
      }
      last = first.request.previous
      done = Math.min(done, last)
      // A roll-back may have trimmed before it failed: only the rows it counted on are sure to be there.
      length = first.request.past
      return later
    }
  }
}

function sameContent(a: LedgerStep, b: LedgerStep): boolean {
  return (
    a.past === b.past &&
    a.rows === b.rows &&
    a.kernel === b.kernel &&
    a.wanted === b.wanted &&
    equalBytes(a.payload, b.payload)
  )
}

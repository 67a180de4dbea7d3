import type { RowKernel } from '@kwaai/interface'

/** One step as it was sent. */
export interface LoggedStep {
  step: number
  /** Rows before this step; fewer than there were: the others are taken back. */
  past: number
  rows: number
  kernel: RowKernel
  wanted: 'none' | 'last' | 'all'
  /** The rows in their wire form, one after the other, each as long as any other row of the log. */
  data: Uint8Array
}

/** A step to send, with the one its receiver has to have admitted before. */
export interface ResumedStep extends LoggedStep {
  previous: number
}

/** What a receiver has, and how it is to be brought up to date. */
export interface ResumeRequest {
  /** The last step the receiver admitted; 0 for a new one. */
  last: number
  /** The highest step whose result is known: it and all before it need no result any more. */
  answered: number
  /** Rows of steps that are put together. */
  maxRows: number
  /** Steps to give, so that a long history need not be put together at once. Default: all. */
  maxSteps?: number
}

/**
 * The history of what was sent to the next span: all rows that stand, each with its kernel. Whoever sends rows
 * keeps one, so that another server can take the span over at any step.
 */
export interface StepLog {
  /** The last step; 0 for none. */
  readonly last: number
  /** Rows that stand after the last step. */
  readonly length: number
  /** Bytes it holds. */
  readonly bytes: number
  /** Adds the next step. Its `data` is kept as it is and must not change any more. */
  append(step: LoggedStep): void
  /** A step that was not put away yet; the last `maxOpenSteps` ones are always whole. */
  get(step: number): LoggedStep | undefined
  /**
   * The steps a receiver lacks, in order. Those with a known result are put together, neighbours of one kernel
   * up to `maxRows` rows, with the number of the last of them and no rows wanted; the others come as they were.
   * It works for every receiver that was served from this history, or from the same history cut up otherwise:
   * where that one has more rows than a step counts on, the step is a roll-back there.
   */
  resume(request: ResumeRequest): ResumedStep[]
}

/**
 * Makes an empty log.
 *
 * @param init.maxOpenSteps - steps that may be without a result at once, the last one included. Rows that are
 * taken back are kept that long: an older step may have to run again on top of them.
 * @param init.maxBytes - bytes above which rows taken back are let go at once; then only rows that stand are
 * held. Default: no limit.
 */
export function createStepLog(init: { maxOpenSteps: number; maxBytes?: number }): StepLog {
  const maxBytes = init.maxBytes ?? Infinity
  // In the order of their numbers. Entries that can still be open are whole; among the others no row is twice.
  const entries: LoggedStep[] = []
  // Roll-backs that may come before an open step: the rows they take back are still here.
  const rollbacks: number[] = []
  // Steps before this one may not be whole any more.
  let whole = 0
  let last = 0
  let length = 0
  let bytes = 0

  /** Where a step is, or where the first later one is. */
  const indexOf = (step: number): number => {
    let low = 0
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((entries[middle] as LoggedStep).step < step) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Lets go of the rows a roll-back took, once every step before it has its result. */
  const putAway = (rollback: number): void => {
    whole = rollback
    const index = indexOf(rollback)
    const { past } = entries[index] as LoggedStep
    let from = index
    while (from > 0 && (entries[from - 1] as LoggedStep).past >= past) from--
    for (const gone of entries.splice(from, index - from)) bytes -= gone.data.length
    const before = entries[from - 1]
    if (before === undefined || before.past + before.rows <= past) return
    const left = firstRows(before, past - before.past)
    // A copy: a view would keep the memory of the rows that are gone.
    entries[from - 1] = { ...left, data: left.data.slice() }
    bytes -= before.data.length - left.data.length
  }

  return {
    get last() {
      return last
    },
    get length() {
      return length
    },
    get bytes() {
      return bytes
    },
    append(step) {
      entries.push(step)
      bytes += step.data.length
      last = step.step
      if (step.past < length) rollbacks.push(step.step)
      length = step.past + step.rows
      for (let first = rollbacks[0]; first !== undefined; first = rollbacks[0]) {
        if (first > last - init.maxOpenSteps + 1 && bytes <= maxBytes) break
        putAway(first)
        rollbacks.shift()
      }
    },
    get(step) {
      const entry = entries[indexOf(step)]
      return entry?.step === step ? entry : undefined
    },
    resume({ last: admitted, answered, maxRows, maxSteps = Infinity }) {
      // Older steps are not whole any more; nobody who keeps to the limit waits for them.
      const known = Math.max(answered, last - init.maxOpenSteps, whole - 1)
      const open = indexOf(Math.max(known, admitted) + 1)
      const standing: LoggedStep[] = []
      let end = Infinity
      for (let index = open - 1; index >= 0; index--) {
        const entry = entries[index] as LoggedStep
        if (entry.step <= admitted) break
        const rows = Math.min(entry.rows, end - entry.past)
        if (rows > 0) standing.push(firstRows(entry, rows))
        end = Math.min(end, entry.past)
      }
      const merged = merge(standing.toReversed(), maxRows, maxSteps)
      const steps = [...merged, ...entries.slice(open)].slice(0, maxSteps)
      return steps.map((step, index) => ({ ...step, previous: steps[index - 1]?.step ?? admitted }))
    }
  }
}

function firstRows(step: LoggedStep, rows: number): LoggedStep {
  if (rows === step.rows) return step
  return { ...step, rows, data: step.data.subarray(0, (step.data.length / step.rows) * rows) }
}

/** Puts neighbours of one kernel together. A step that is larger than allowed alone stays as it is. */
function merge(steps: readonly LoggedStep[], maxRows: number, maxSteps: number): LoggedStep[] {
  const groups: LoggedStep[][] = []
  let rows = 0
  for (const step of steps) {
    const group = groups.at(-1)
    if (group === undefined || group[0]?.kernel !== step.kernel || rows + step.rows > maxRows) {
      groups.push([step])
      rows = step.rows
    } else {
      group.push(step)
      rows += step.rows
    }
  }
  return groups.slice(0, maxSteps).map((group) => {
    const first = group[0] as LoggedStep
    const final = group.at(-1) as LoggedStep
    const rowsOfAll = final.past + final.rows - first.past
    return { ...final, past: first.past, rows: rowsOfAll, wanted: 'none', data: joined(group) }
  })
}

function joined(group: readonly LoggedStep[]): Uint8Array {
  if (group.length === 1) return (group[0] as LoggedStep).data
  const data = new Uint8Array(group.reduce((sum, step) => sum + step.data.length, 0))
  let at = 0
  for (const step of group) {
    data.set(step.data, at)
    at += step.data.length
  }
  return data
}

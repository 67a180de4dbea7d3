import type { StepFailure } from '@kwaai/interface'
import { maxResidualValue } from './constants.ts'

/** The first row of `rows`, `[rows, width]`, with a value that is not finite or that no model makes. */
export function findBadRow(rows: Float32Array, width: number): StepFailure | undefined {
  for (let at = 0; at < rows.length; at++) {
    const value = Math.abs(rows[at] as number)
    // Written so that NaN fails too.
    if (!(value <= maxResidualValue))
      return { failure: value < Infinity ? 'out-of-range' : 'not-finite', row: Math.floor(at / width) }
  }
  return undefined
}

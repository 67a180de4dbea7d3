import type { StepFailure } from '@kwaai/interface'
import { maxResidualValue } from '../constants.ts'

/** The first row of `x`, `[rows, width]`, with a value that is not finite or that no model makes. */
export function findBadRow(x: Float32Array, width: number): StepFailure | undefined {
  for (let i = 0; i < x.length; i++) {
    const value = Math.abs(x[i] as number)
    // Written so that NaN fails too.
    if (!(value <= maxResidualValue))
      return { failure: value < Infinity ? 'out-of-range' : 'not-finite', row: Math.floor(i / width) }
  }
  return undefined
}

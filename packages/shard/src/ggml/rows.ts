import type { StepFailure } from '@kwaai/interface'
import { residualLimit } from './constants.ts'

/** The first row with a value that is not finite or that no model makes. */
export function badRow(values: Float32Array, width: number): StepFailure | undefined {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (Math.abs(value) <= residualLimit) continue
    return { failure: Number.isFinite(value) ? 'out-of-range' : 'not-finite', row: Math.floor(i / width) }
  }
  return undefined
}

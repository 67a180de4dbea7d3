import { KwaaiError } from '@kwaai/interface'
import { expect } from 'vitest'

/** The cosine of the angle between two vectors, in 64-bit floats. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, left, right] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number]
    dot += x * y
    left += x * x
    right += y * y
  }
  return dot / Math.sqrt(left * right)
}

/** The length of a vector. */
export function lengthOf(vector: Float32Array): number {
  return Math.hypot(...vector)
}

/** Asserts that a promise rejects with an error of the house, and hands it out. */
export async function refused(promise: Promise<unknown>, code: string): Promise<KwaaiError> {
  const error = await promise.then(
    (value) => value,
    (reason: unknown) => reason
  )
  expect(KwaaiError.is(error) ? error.code : error).toBe(code)
  return error as KwaaiError
}
